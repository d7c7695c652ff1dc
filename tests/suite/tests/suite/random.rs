//! Chance that can be repeated: SplitMix64 from a seed that is printed and can
//! be given back.

use std::env;
use std::hash::{BuildHasher, RandomState};

/// Gives the seed of an earlier run.
const SEED: &str = "QUAYMASTER_SUITE_SEED";

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded() -> Self {
        let given = env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(()));
        eprintln!("the seed is {seed}; the same again: {SEED}={seed}");
        Self(seed)
    }

    /// From 0 up to but without 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        fraction
    }
}
