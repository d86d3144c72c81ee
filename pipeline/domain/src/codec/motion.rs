//! How it is written what a device is doing: standing, or on a trip.

use super::{CodecError, location, timestamp};
use crate::{Motion, Pause, Stop, Travelled, Trip};
use prost::Message;

/// Schema of what a device is doing.
#[derive(Clone, PartialEq, Message)]
pub struct MotionMessage {
    /// Where it stopped, or where it would have stopped on its trip, 1e-7 degree.
    #[prost(sfixed32, tag = "1")]
    pub lat_e7: i32,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "2")]
    pub lon_e7: i32,
    /// The trip it is on.
    #[prost(message, optional, tag = "3")]
    pub trip: Option<TripMessage>,
    /// Since when it has stood, milliseconds since the Unix epoch.
    #[prost(sint64, tag = "4")]
    pub since_ms: i64,
    /// How long the engine has run while it stood or would have stopped, milliseconds.
    #[prost(sint64, optional, tag = "5")]
    pub engine_ms: Option<i64>,
}

/// Schema of a trip that has not ended.
#[derive(Clone, PartialEq, Message)]
pub struct TripMessage {
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub started_at_ms: i64,
    /// Metres.
    #[prost(double, tag = "2")]
    pub distance_m: f64,
    /// Metres per second.
    #[prost(float, optional, tag = "3")]
    pub max_speed_mps: Option<f32>,
    /// Since when it has been where it would have stopped, milliseconds since the Unix epoch.
    #[prost(sint64, tag = "4")]
    pub pause_since_ms: i64,
    /// Length of the trip up to there, metres.
    #[prost(double, tag = "5")]
    pub pause_distance_m: f64,
    /// Where it began, 1e-7 degree.
    #[prost(sfixed32, optional, tag = "6")]
    pub start_lat_e7: Option<i32>,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "7")]
    pub start_lon_e7: i32,
    /// Metres.
    #[prost(uint32, optional, tag = "8")]
    pub start_odometer_m: Option<u32>,
    /// Metres.
    #[prost(uint32, optional, tag = "9")]
    pub odometer_m: Option<u32>,
    /// Milliseconds.
    #[prost(sint64, tag = "10")]
    pub driving_ms: i64,
    /// Milliseconds.
    #[prost(sint64, tag = "11")]
    pub idle_ms: i64,
    /// Up to where it would have stopped, metres.
    #[prost(uint32, optional, tag = "12")]
    pub pause_odometer_m: Option<u32>,
    /// Milliseconds.
    #[prost(sint64, tag = "13")]
    pub pause_driving_ms: i64,
    /// Milliseconds.
    #[prost(sint64, tag = "14")]
    pub pause_idle_ms: i64,
}

pub(super) fn motion_to_message(motion: &Motion) -> MotionMessage {
    match motion {
        Motion::Stopped(Stop { at, since, idle_ms }) => MotionMessage {
            lat_e7: at.lat_e7(),
            lon_e7: at.lon_e7(),
            trip: None,
            since_ms: since.as_millis(),
            engine_ms: *idle_ms,
        },
        Motion::Moving(t) => MotionMessage {
            lat_e7: t.pause.at.lat_e7(),
            lon_e7: t.pause.at.lon_e7(),
            trip: Some(TripMessage {
                started_at_ms: t.started_at.as_millis(),
                distance_m: t.so_far.distance_m,
                max_speed_mps: t.max_speed_cm_s.map(|cm_s| f32::from(cm_s) / 100.0),
                pause_since_ms: t.pause.since.as_millis(),
                pause_distance_m: t.pause.so_far.distance_m,
                start_lat_e7: Some(t.start.lat_e7()),
                start_lon_e7: t.start.lon_e7(),
                start_odometer_m: t.start_odometer_m,
                odometer_m: t.so_far.odometer_m,
                driving_ms: t.so_far.driving_ms,
                idle_ms: t.so_far.idle_ms,
                pause_odometer_m: t.pause.so_far.odometer_m,
                pause_driving_ms: t.pause.so_far.driving_ms,
                pause_idle_ms: t.pause.so_far.idle_ms,
            }),
            since_ms: 0,
            engine_ms: t.pause.engine_ms,
        },
    }
}

pub(super) fn motion_from_message(m: MotionMessage) -> Result<Motion, CodecError> {
    let at = location(m.lat_e7, m.lon_e7)?;
    let Some(t) = m.trip else {
        return Ok(Motion::Stopped(Stop { at, since: timestamp(m.since_ms, "since_ms")?, idle_ms: m.engine_ms }));
    };
    let so_far = Travelled { distance_m: t.distance_m, odometer_m: t.odometer_m, driving_ms: t.driving_ms, idle_ms: t.idle_ms };
    let up_to_pause = Travelled {
        distance_m: t.pause_distance_m,
        odometer_m: t.pause_odometer_m,
        driving_ms: t.pause_driving_ms,
        idle_ms: t.pause_idle_ms,
    };
    let since = timestamp(t.pause_since_ms, "since_ms")?;
    Ok(Motion::Moving(Box::new(Trip {
        started_at: timestamp(t.started_at_ms, "started_at_ms")?,
        start: t.start_lat_e7.map_or(Ok(at), |lat| location(lat, t.start_lon_e7))?,
        start_odometer_m: t.start_odometer_m,
        so_far,
        max_speed_cm_s: t.max_speed_mps.and_then(crate::fix::speed_cm_s),
        pause: Pause { at, since, so_far: up_to_pause, engine_ms: m.engine_ms },
    })))
}
