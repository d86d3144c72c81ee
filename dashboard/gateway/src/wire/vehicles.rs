//! The list of vehicles, for fleets that are too many for a browser to hold.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Which vehicles to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VehicleListRequest {
    /// Part of the name or of the device's id, in whatever case.
    pub text: String,
    /// Only those of this fleet.
    pub fleet: Option<String>,
    /// Only these: 0 moving, 1 standing with the ignition on, 2 standing, 3 late, 4 offline, 5 alarm. All if empty.
    pub looks: Vec<u8>,
    /// In which order.
    pub sort: VehicleSort,
    /// Only these devices.
    pub devices: Option<Vec<String>>,
    /// So many are left out.
    pub from: usize,
    /// So many are told, at most 1,000.
    pub limit: usize,
}

/// An order of vehicles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VehicleSort {
    /// By name, numbers in names by value.
    #[default]
    Name,
    /// What deserves an eye first.
    Status,
    /// Fastest first.
    Speed,
    /// Newest first.
    Age,
}

/// Some vehicles of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct VehicleListAnswer {
    /// Vehicles that may be seen, whatever was asked for.
    pub count: usize,
    /// Those that were asked for.
    pub matching: usize,
    /// By look, those that were asked for but for their looks.
    pub looks: [usize; 6],
    /// So many were left out.
    pub from: usize,
    /// The next ones.
    pub vehicles: Vec<ListedVehicle>,
}

/// A vehicle in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ListedVehicle {
    /// What the device calls itself.
    pub device: String,
    /// For people.
    pub name: String,
    /// Key of its fleet.
    pub fleet: String,
    /// See [`VehicleListRequest`].
    pub look: u8,
    /// `null` if it is not known.
    pub speed_kmh: Option<f64>,
    /// Degrees clockwise from true north.
    pub course_deg: f64,
    /// Of the newest fix.
    #[ts(type = "number")]
    pub fix_time: i64,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
}
