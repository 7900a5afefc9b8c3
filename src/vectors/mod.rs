//! Loops in the widest vector registers that the processor has, from one portable binary.

pub mod dots;

/// Runs `work`, compiled for AVX-512 or AVX2 where the processor has them (NEON is always there on 64-bit ARM). The
/// operations are the same in any case, more of them at a time, and none are fused, so the bits are the same too.
///
/// What `work` calls takes part only if it is inlined: mark it, and the closure, `#[inline(always)]`.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(clippy::inline_always, reason = "a call would keep the loop out of its caller's registers")
)]
#[cfg_attr(not(target_arch = "x86_64"), inline(always))]
pub fn in_vectors<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn in_512_bits<T>(work: impl FnOnce() -> T) -> T {
            work()
        }
        #[target_feature(enable = "avx2")]
        fn in_256_bits<T>(work: impl FnOnce() -> T) -> T {
            work()
        }
        let has_512_bits = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512vl");
        if has_512_bits {
            #[expect(unsafe_code, reason = "the processor was asked for these features just before")]
            return unsafe { in_512_bits(work) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the processor was asked for the feature just before")]
            return unsafe { in_256_bits(work) };
        }
    }
    work()
}

/// Has the processor bring these numbers nearer while it goes on with others.
#[inline]
pub fn prefetch(values: &[f32]) {
    /// Numbers of a line of the cache.
    const LINE: usize = 16;
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        #[expect(unsafe_code, reason = "a hint: it reads nothing, whatever the address")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, LINE);
}

/// Numbers that are added side by side in a sum, so that the compiler may use vector registers: it must not reorder a
/// floating-point sum by itself.
pub const LANES: usize = 8;

/// [`LANES`] numbers in one line of the cache: a register that is loaded from two lines costs twice.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Line(pub [f64; LANES]);

/// Numbers, a multiple of [`LANES`], from the start of a line on.
#[derive(Clone, Debug)]
pub struct Aligned(Vec<Line>);

impl Aligned {
    /// `len` zeros.
    ///
    /// # Panics
    /// If `len` is no multiple of [`LANES`].
    pub fn zeros(len: usize) -> Self {
        assert!(len.is_multiple_of(LANES), "{len} numbers do not fill lines of {LANES}");
        Self(vec![Line::default(); len / LANES])
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        bytemuck::cast_slice(&self.0)
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f64] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
