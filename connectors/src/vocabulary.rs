//! Names of attributes that mean the same whatever protocol brought them; units are in the names.
//!
//! What has no name here is kept as `io.N` (N: the device's own number for it) or under the device's own word.

/// Ignition is on (bool).
pub const IGNITION: &str = "ignition";
/// The device's own motion sensor (bool).
pub const MOTION: &str = "motion";
/// Engine is held stopped by the device (bool).
pub const BLOCKED: &str = "blocked";
/// A door is open (bool).
pub const DOOR: &str = "door";
/// The device's own battery is being charged (bool).
pub const CHARGE: &str = "charge";
/// Voltage of the device's own battery, V.
pub const BATTERY_V: &str = "battery_v";
/// Voltage of the vehicle's supply, V.
pub const POWER_V: &str = "power_v";
/// Charge of the device's own battery, percent.
pub const BATTERY_LEVEL: &str = "battery_level";
/// Distance of the vehicle's or device's life, m.
pub const ODOMETER_M: &str = "odometer_m";
/// Distance since the trip began, or since the last report, m.
pub const TRIP_ODOMETER_M: &str = "trip_odometer_m";
/// Distance of the vehicle's life by its own computer, m.
pub const OBD_ODOMETER_M: &str = "obd_odometer_m";
/// Hours that the engine has run, h.
pub const ENGINE_HOURS_H: &str = "engine_hours_h";
/// Fuel in the tank, l.
pub const FUEL_L: &str = "fuel_l";
/// Fuel in the tank, percent of its size.
pub const FUEL_LEVEL: &str = "fuel_level";
/// Fuel that the engine has used in its life, l.
pub const FUEL_USED_L: &str = "fuel_used_l";
/// The engine's coolant, °C.
pub const COOLANT_TEMPERATURE_C: &str = "coolant_temperature_c";
/// Engine speed, 1/min.
pub const RPM: &str = "rpm";
/// Speed on the vehicle's bus, km/h.
pub const OBD_SPEED_KMH: &str = "obd_speed_kmh";
/// Horizontal dilution of precision.
pub const HDOP: &str = "hdop";
/// Position dilution of precision.
pub const PDOP: &str = "pdop";
/// Vertical dilution of precision.
pub const VDOP: &str = "vdop";
/// Satellites used.
pub const SATELLITES: &str = "satellites";
/// Strength of the mobile network, in the device's own scale (0–5, 0–31 or dBm).
pub const RSSI: &str = "rssi";
/// One of the words in [`alarm`].
pub const ALARM: &str = "alarm";
/// Driver's card or key.
pub const DRIVER_ID: &str = "driver_id";
/// The device's own number or word for why it reported.
pub const EVENT: &str = "event";
/// The report comes from the device's memory (bool).
pub const ARCHIVE: &str = "archive";
/// How many weeks the date was behind, because the receiver does not know of an overflow of its counter: put right.
pub const CLOCK_CORRECTED_WEEKS: &str = "clock_corrected_weeks";
/// Vehicle identification number.
pub const VIN: &str = "vin";
/// Trouble codes of the engine, separated by spaces.
pub const DTCS: &str = "dtcs";
/// Serial number of the SIM card.
pub const ICCID: &str = "iccid";
/// Mobile network: country and operator code.
pub const OPERATOR: &str = "operator";
/// Status word, as the device sends it.
pub const STATUS: &str = "status";

/// Values of [`ALARM`].
pub mod alarm {
    /// Somebody pressed the button.
    pub const SOS: &str = "sos";
    /// External power was lost.
    pub const POWER_CUT: &str = "power_cut";
    /// External power is back.
    pub const POWER_RESTORED: &str = "power_restored";
    /// External power is low.
    pub const LOW_POWER: &str = "low_power";
    /// The device's own battery is low.
    pub const LOW_BATTERY: &str = "low_battery";
    /// Shaken while parked.
    pub const VIBRATION: &str = "vibration";
    /// Moved while parked.
    pub const MOVEMENT: &str = "movement";
    /// Towed away.
    pub const TOW: &str = "tow";
    /// Too fast.
    pub const OVERSPEED: &str = "overspeed";
    /// A fence in the device was entered.
    pub const GEOFENCE_ENTER: &str = "geofence_enter";
    /// A fence in the device was left.
    pub const GEOFENCE_EXIT: &str = "geofence_exit";
    /// A fence in the device was crossed, it does not say how.
    pub const GEOFENCE: &str = "geofence";
    /// The device was opened, taken off or its cover moved.
    pub const TAMPERING: &str = "tampering";
    /// The satellite antenna was cut.
    pub const GPS_ANTENNA_CUT: &str = "gps_antenna_cut";
    /// Radio is being jammed.
    pub const JAMMING: &str = "jamming";
    /// A door was opened.
    pub const DOOR: &str = "door";
    /// Hit hard.
    pub const ACCIDENT: &str = "accident";
    /// The bike or person fell.
    pub const FALL_DOWN: &str = "fall_down";
    /// Braked hard.
    pub const HARD_BRAKING: &str = "hard_braking";
    /// Accelerated hard.
    pub const HARD_ACCELERATION: &str = "hard_acceleration";
    /// Cornered hard.
    pub const HARD_CORNERING: &str = "hard_cornering";
    /// Engine runs, vehicle stands.
    pub const IDLE: &str = "idle";
    /// Driven too long without a rest.
    pub const FATIGUE_DRIVING: &str = "fatigue_driving";
    /// Switched on.
    pub const POWER_ON: &str = "power_on";
    /// Switched off.
    pub const POWER_OFF: &str = "power_off";
    /// Temperature out of its bounds.
    pub const TEMPERATURE: &str = "temperature";
    /// Fuel went away faster than an engine burns it.
    pub const FUEL_LEAK: &str = "fuel_leak";
    /// The device says that something is wrong with itself or the engine.
    pub const FAULT: &str = "fault";
    /// Any other.
    pub const GENERAL: &str = "general";
}
