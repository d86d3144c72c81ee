//! Conversions to SI from what devices and people use. Factors are exact by definition (BIPM SI brochure, table 8).

/// One knot in metres per second.
pub const KNOT_MPS: f64 = 1852.0 / 3600.0;

/// Knots to metres per second.
pub fn mps_from_knots(knots: f64) -> f32 {
    (knots * KNOT_MPS) as f32
}

/// Kilometres per hour to metres per second.
pub fn mps_from_kmh(kmh: f64) -> f32 {
    (kmh / 3.6) as f32
}

/// Metres per second to kilometres per hour, rounded to 1e-4 so that 62.764 is written as it was reported.
pub fn kmh_from_mps(mps: f32) -> f64 {
    (f64::from(mps) * 3.6 * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reported_speed_survives_the_round_trip() {
        for kmh in [0.0, 0.1, 62.764, 255.0, 1234.5] {
            assert_eq!(kmh_from_mps(mps_from_kmh(kmh)), kmh);
        }
        assert_eq!(kmh_from_mps(mps_from_knots(100.0)), 185.2);
    }
}
