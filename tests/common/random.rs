//! Random numbers, the same every time.

/// A small generator of its own (splitmix64), so that no data here depends on the program's.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next 53 bits.
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) >> 11
    }

    /// A number in 0..1.
    #[allow(dead_code, reason = "each test file uses its part of it")]
    pub(crate) fn unit(&mut self) -> f64 {
        self.bits() as f64 / (1_u64 << 53) as f64
    }

    /// A number in -1..1.
    #[allow(dead_code, reason = "each test file uses its part of it")]
    pub(crate) fn symmetric(&mut self) -> f64 {
        self.bits() as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Numbers in 0..1, one after the other.
#[allow(dead_code, reason = "each test file uses its part of it")]
pub(crate) fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut random = Random(seed);
    move || random.unit()
}
