//! Products of eight columns with one vector, side by side; and a vector to which eight columns are added.
//!
//! Here the compiler does not find the vector registers by itself, so they are named. Every variant adds the same
//! numbers in the same order, in [`LANES`] sums a column, by a fused multiplication and addition: twice the speed, and
//! half the roundings. So all processors that have one get the same bits; one from before 2013 rounds twice.

use crate::vectors::LANES;

/// Columns side by side: eight sums of 512 bits, and one register for the vector.
pub const EIGHT: usize = 8;

/// An entry of a column.
pub trait Entry: Copy + Into<f64> {
    /// The products over the rows that fill all [`LANES`].
    fn products(columns: [&[Self]; EIGHT], vector: &[f64]) -> [f64; EIGHT];
}

/// The products of each of eight columns with `vector`, `[rows]` each.
pub fn eight_dots<T: Entry>(columns: [&[T]; EIGHT], vector: &[f64]) -> [f64; EIGHT] {
    let mut products = T::products(columns, vector);
    let rest = vector.as_chunks::<LANES>().1;
    let first = vector.len() - rest.len();
    for (product, column) in products.iter_mut().zip(columns) {
        for (x, v) in column[first..].iter().zip(rest) {
            *product += (*x).into() * v;
        }
    }
    products
}

/// The sum of the lanes, by halves.
#[inline]
fn total([a, b, c, d, e, f, g, h]: [f64; LANES]) -> f64 {
    let four = [a + e, b + f, c + g, d + h];
    let two = [four[0] + four[2], four[1] + four[3]];
    two[0] + two[1]
}

macro_rules! entry {
    ($entry:ty, $in_512_bits:ident, $in_256_bits:ident) => {
        impl Entry for $entry {
            fn products(columns: [&[Self]; EIGHT], vector: &[f64]) -> [f64; EIGHT] {
                #[cfg(target_arch = "x86_64")]
                {
                    if std::arch::is_x86_feature_detected!("avx512f") {
                        #[expect(unsafe_code, reason = "the processor was asked for the feature just before")]
                        return unsafe { x86::$in_512_bits(columns, vector) };
                    }
                    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                        #[expect(unsafe_code, reason = "the processor was asked for the features just before")]
                        return unsafe { x86::$in_256_bits(columns, vector) };
                    }
                }
                portable::<Self, FUSED>(columns, vector)
            }
        }
    };
}

entry!(f32, f32_in_512_bits, f32_in_256_bits);
entry!(f64, f64_in_512_bits, f64_in_256_bits);

/// Whether the program is compiled for processors that all have a fused multiplication and addition; a call of one in
/// software would cost more than all the rest.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// [`Entry::products`] in the registers of any processor.
fn portable<T: Entry, const FUSED: bool>(columns: [&[T]; EIGHT], vector: &[f64]) -> [f64; EIGHT] {
    columns.map(|column| {
        let mut sums = [0.0; LANES];
        for (x, v) in column.as_chunks::<LANES>().0.iter().zip(vector.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                let x = x[lane].into();
                sums[lane] = if FUSED { x.mul_add(v[lane], sums[lane]) } else { sums[lane] + x * v[lane] };
            }
        }
        total(sums)
    })
}

/// Adds each of eight columns times its weight to `target`, `[rows]` each, one after the other.
pub fn add_columns<T: Entry>(columns: [&[T]; EIGHT], weights: [f64; EIGHT], target: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            #[expect(unsafe_code, reason = "the processor was asked for the feature just before")]
            return unsafe { x86::add_in_512_bits(columns, weights, target) };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            #[expect(unsafe_code, reason = "the processor was asked for the features just before")]
            return unsafe { x86::add_in_256_bits(columns, weights, target) };
        }
    }
    add_portably::<T, FUSED>(columns, weights, target);
}

/// [`add_columns`] in what registers the caller is compiled for.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the caller says for which registers it is compiled")]
fn add_portably<T: Entry, const FUSED: bool>(columns: [&[T]; EIGHT], weights: [f64; EIGHT], target: &mut [f64]) {
    let n = target.len();
    let columns = columns.map(|column| &column[..n]);
    for i in 0..n {
        // One store, behind all that is added: the columns might be where it stores, as far as the compiler knows.
        let mut sum = target[i];
        for k in 0..EIGHT {
            let (w, x) = (weights[k], columns[k][i].into());
            sum = if FUSED { w.mul_add(x, sum) } else { sum + w * x };
        }
        target[i] = sum;
    }
}

/// The products of the first `N` of eight columns with each of two vectors, and zeros: with the bits of [`eight_dots`]. A column
/// is read once for both where there are registers for that.
pub fn dots_of_two<const N: usize>(columns: [&[f64]; EIGHT], vectors: [&[f64]; 2]) -> [[f64; EIGHT]; 2] {
    #[cfg(target_arch = "x86_64")]
    if vectors[0].len().is_multiple_of(LANES) && std::arch::is_x86_feature_detected!("avx512f") {
        #[expect(unsafe_code, reason = "the processor was asked for the feature just before")]
        return unsafe { x86::of_two_in_512_bits::<N>(columns, vectors) };
    }
    vectors.map(|vector| {
        let mut products = eight_dots(columns, vector);
        products[N..].fill(0.0);
        products
    })
}

/// Adds the first `N` of eight columns to each of two targets, with the bits of [`add_columns`] where the others are zeros.
pub fn add_to_two<const N: usize>(columns: [&[f64]; EIGHT], weights: [[f64; EIGHT]; 2], targets: [&mut [f64]; 2]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        #[expect(unsafe_code, reason = "the processor was asked for the feature just before")]
        return unsafe { x86::add_to_two_in_512_bits::<N>(columns, weights, targets) };
    }
    for (weights, target) in weights.into_iter().zip(targets) {
        add_columns(columns, weights, target);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256d, __m512d, _mm256_cvtps_pd, _mm256_fmadd_pd, _mm256_setzero_pd, _mm512_cvtps_pd, _mm512_fmadd_pd,
        _mm512_setzero_pd,
    };

    use super::{EIGHT, Entry, LANES, total};

    /// [`Entry::products`](super::Entry::products) in registers of `$width` numbers: as many sweeps as make [`LANES`].
    macro_rules! products {
        ($name:ident, $feature:literal, $entry:ty, $register:ty, $width:literal, $zero:ident, $multiply_add:ident, $load:ident) => {
            #[target_feature(enable = $feature)]
            pub(super) fn $name(columns: [&[$entry]; EIGHT], vector: &[f64]) -> [f64; EIGHT] {
                const SWEEPS: usize = LANES / $width;
                let rows = vector.len() / LANES * SWEEPS;
                let vector = &vector.as_chunks::<$width>().0[..rows];
                let mut chunks: [&[[$entry; $width]]; EIGHT] = [&[]; EIGHT];
                for (chunks, column) in chunks.iter_mut().zip(columns) {
                    *chunks = &column.as_chunks().0[..rows];
                }
                let [a, b, c, d, e, f, g, h] = chunks;
                let mut sums = [[0.0; LANES]; EIGHT];
                for sweep in 0..SWEEPS {
                    let [mut sa, mut sb, mut sc, mut sd, mut se, mut sf, mut sg, mut sh] = [$zero(); EIGHT];
                    for i in (sweep..rows).step_by(SWEEPS) {
                        let v: $register = bytemuck::cast(vector[i]);
                        sa = $multiply_add($load(a[i]), v, sa);
                        sb = $multiply_add($load(b[i]), v, sb);
                        sc = $multiply_add($load(c[i]), v, sc);
                        sd = $multiply_add($load(d[i]), v, sd);
                        se = $multiply_add($load(e[i]), v, se);
                        sf = $multiply_add($load(f[i]), v, sf);
                        sg = $multiply_add($load(g[i]), v, sg);
                        sh = $multiply_add($load(h[i]), v, sh);
                    }
                    for (sums, register) in sums.iter_mut().zip([sa, sb, sc, sd, se, sf, sg, sh]) {
                        let lanes: [f64; $width] = bytemuck::cast(register);
                        sums[sweep * $width..][..$width].copy_from_slice(&lanes);
                    }
                }
                let [a, b, c, d, e, f, g, h] = sums;
                [total(a), total(b), total(c), total(d), total(e), total(f), total(g), total(h)]
            }
        };
    }

    /// [`add_columns`](super::add_columns): the compiler finds these registers by itself.
    #[target_feature(enable = "avx512f")]
    pub(super) fn add_in_512_bits<T: Entry>(columns: [&[T]; EIGHT], weights: [f64; EIGHT], target: &mut [f64]) {
        super::add_portably::<T, true>(columns, weights, target);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn add_in_256_bits<T: Entry>(columns: [&[T]; EIGHT], weights: [f64; EIGHT], target: &mut [f64]) {
        super::add_portably::<T, true>(columns, weights, target);
    }

    /// [`add_to_two`](super::add_to_two): sixteen weights and two sums have registers.
    #[target_feature(enable = "avx512f")]
    pub(super) fn add_to_two_in_512_bits<const N: usize>(
        columns: [&[f64]; EIGHT],
        [of_a, of_b]: [[f64; EIGHT]; 2],
        [a, b]: [&mut [f64]; 2],
    ) {
        let n = a.len();
        let (b, columns) = (&mut b[..n], columns.map(|column| &column[..n]));
        for i in 0..n {
            let [mut sum_a, mut sum_b] = [a[i], b[i]];
            for k in 0..N {
                let x = columns[k][i];
                sum_a = of_a[k].mul_add(x, sum_a);
                sum_b = of_b[k].mul_add(x, sum_b);
            }
            (a[i], b[i]) = (sum_a, sum_b);
        }
    }

    /// [`dots_of_two`](super::dots_of_two) of whole [`LANES`]: sixteen sums have registers.
    #[target_feature(enable = "avx512f")]
    pub(super) fn of_two_in_512_bits<const N: usize>(
        columns: [&[f64]; EIGHT],
        [a, b]: [&[f64]; 2],
    ) -> [[f64; EIGHT]; 2] {
        let rows = a.len() / LANES;
        let (a, b) = (&a.as_chunks::<LANES>().0[..rows], &b.as_chunks::<LANES>().0[..rows]);
        let mut chunks: [&[[f64; LANES]]; EIGHT] = [&[]; EIGHT];
        for (chunks, column) in chunks.iter_mut().zip(columns) {
            *chunks = &column.as_chunks().0[..rows];
        }
        let mut sums_a: [__m512d; EIGHT] = [_mm512_setzero_pd(); EIGHT];
        let mut sums_b = sums_a;
        for i in 0..rows {
            let (v, w): (__m512d, __m512d) = (bytemuck::cast(a[i]), bytemuck::cast(b[i]));
            for k in 0..N {
                let x: __m512d = bytemuck::cast(chunks[k][i]);
                sums_a[k] = _mm512_fmadd_pd(x, v, sums_a[k]);
                sums_b[k] = _mm512_fmadd_pd(x, w, sums_b[k]);
            }
        }
        [sums_a, sums_b].map(|sums| sums.map(|sum| total(bytemuck::cast(sum))))
    }

    #[inline]
    fn load<A: bytemuck::Pod, R: bytemuck::Pod>(entries: A) -> R {
        bytemuck::cast(entries)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn widen_512(entries: [f32; 8]) -> __m512d {
        _mm512_cvtps_pd(bytemuck::cast(entries))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn widen_256(entries: [f32; 4]) -> __m256d {
        _mm256_cvtps_pd(bytemuck::cast(entries))
    }

    products!(f64_in_512_bits, "avx512f", f64, __m512d, 8, _mm512_setzero_pd, _mm512_fmadd_pd, load);
    products!(f64_in_256_bits, "avx2,fma", f64, __m256d, 4, _mm256_setzero_pd, _mm256_fmadd_pd, load);
    products!(f32_in_512_bits, "avx512f", f32, __m512d, 8, _mm512_setzero_pd, _mm512_fmadd_pd, widen_512);
    products!(f32_in_256_bits, "avx2,fma", f32, __m256d, 4, _mm256_setzero_pd, _mm256_fmadd_pd, widen_256);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variant that this processor has, bit for bit, and the right sums of whole and of broken lengths.
    #[test]
    fn registers_change_no_bit() {
        for rows in [0, 1, 7, 8, 64, 71] {
            let column = |k: usize| -> Vec<f32> { (0..rows).map(|i| ((i * (k + 3)) as f32 * 0.7).sin()).collect() };
            let narrow: [Vec<f32>; EIGHT] = std::array::from_fn(column);
            let wide: [Vec<f64>; EIGHT] = std::array::from_fn(|k| narrow[k].iter().map(|x| f64::from(*x)).collect());
            let narrow: [&[f32]; EIGHT] = std::array::from_fn(|k| narrow[k].as_slice());
            let wide: [&[f64]; EIGHT] = std::array::from_fn(|k| wide[k].as_slice());
            let vector: Vec<f64> = (0..rows).map(|i| (i as f64).cos()).collect();
            let bits = |products: [f64; EIGHT]| products.map(f64::to_bits);
            let expected = bits(portable::<_, true>(wide, &vector));
            assert_eq!(expected, bits(portable::<_, true>(narrow, &vector)));
            for unfused in [portable::<_, false>(wide, &vector), portable::<_, false>(narrow, &vector)] {
                for (a, b) in unfused.into_iter().zip(expected) {
                    assert!((a - f64::from_bits(b)).abs() <= 1e-13);
                }
            }
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                assert_eq!(expected, bits(f64::products(wide, &vector)));
                assert_eq!(expected, bits(f32::products(narrow, &vector)));
                #[expect(unsafe_code, reason = "the processor was asked for the features just before")]
                let found = unsafe { (x86::f64_in_256_bits(wide, &vector), x86::f32_in_256_bits(narrow, &vector)) };
                assert_eq!((expected, expected), (bits(found.0), bits(found.1)));
            }
            let other: Vec<f64> = (0..rows).map(|i| (i as f64).sin() - 0.3).collect();
            let of_two = dots_of_two::<EIGHT>(wide, [&vector, &other]).map(bits);
            assert_eq!(of_two, [&vector, &other].map(|vector| bits(eight_dots(wide, vector))), "{rows} rows");
            let of_four = dots_of_two::<4>(wide, [&vector, &other]).map(bits);
            for (few, all) in of_four.iter().zip(&of_two) {
                assert_eq!((&few[..4], &few[4..]), (&all[..4], [0; 4].as_slice()), "{rows} rows");
            }
            for few in [EIGHT, 4] {
                let weight = |first: usize, k: usize| if k < few { ((first + k) as f64 * 1.1).cos() } else { 0.0 };
                let weights = [0, 8].map(|first| std::array::from_fn(|k| weight(first, k)));
                let mut apart = [vector.clone(), other.clone()];
                let mut together = apart.clone();
                for (weights, target) in weights.into_iter().zip(&mut apart) {
                    add_columns(wide, weights, target);
                }
                let [a, b] = &mut together;
                if few == EIGHT {
                    add_to_two::<EIGHT>(wide, weights, [a, b]);
                } else {
                    add_to_two::<4>(wide, weights, [a, b]);
                }
                assert_eq!(together, apart, "{rows} rows, {few} columns");
            }
            for (k, found) in eight_dots(narrow, &vector).into_iter().enumerate() {
                let plain: f64 = wide[k].iter().zip(&vector).map(|(x, v)| x * v).sum();
                assert!((found - plain).abs() <= 1e-13, "{rows} rows, column {k}: {found} {plain}");
            }
        }
    }
}
