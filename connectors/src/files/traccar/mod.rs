//! What a Traccar server knows: its tables as text with a header line, or what its REST interface answers. Columns and JSON
//! members are the same but for capital letters.
//!
//! Source of names, units and the order of coordinates: Traccar's database schema and OpenAPI description, version 6. Times without
//! a zone are UTC, speeds are knots, geofences are well-known text with the latitude first.

mod area;
mod rows;
mod user;
mod words;

pub use area::geofence;
pub use rows::{Manner, Row, json_rows, table};
pub use user::{User, link, user};

use super::{RowFault, TrackPoint};
use crate::protocol::{Fault, FaultKind};
use crate::readers::{FixBuilder, device_id, malformed};
use serde_json::Value;
use smol_str::format_smolstr;
use std::collections::HashMap;
use waystream_domain::{DeviceId, Timestamp};

/// A device there.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its number in Traccar's tables.
    pub key: i64,
    /// What it reports as.
    pub id: DeviceId,
    /// For people.
    pub name: String,
    /// Number of its group.
    pub group: Option<i64>,
}

/// A group there, which is a fleet here.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its number.
    pub key: i64,
    /// For people.
    pub name: String,
    /// Number of the group that it is in.
    pub parent: Option<i64>,
}

/// A row of `tc_devices`.
pub fn device(row: &Row) -> Result<Device, RowFault> {
    row.read(|row| {
        let id = device_id(row.text("uniqueid").unwrap_or_default())?;
        let name = row.text("name").map_or_else(|| id.to_string(), str::to_owned);
        Ok(Device { key: row.key("id")?, id, name, group: in_group(row)? })
    })
}

/// A group of 0 is none.
fn in_group(row: &Row) -> Result<Option<i64>, Fault> {
    Ok(row.int("groupid")?.filter(|group| *group != 0))
}

/// A row of `tc_groups`.
pub fn group(row: &Row) -> Result<Group, RowFault> {
    row.read(|row| {
        let key = row.key("id")?;
        let name = row.text("name").map_or_else(|| format!("Group {key}"), str::to_owned);
        Ok(Group { key, name, parent: in_group(row)? })
    })
}

/// A row of `tc_positions`, of one of these devices.
pub fn point(row: &Row, devices: &HashMap<i64, DeviceId>) -> Result<TrackPoint, RowFault> {
    row.read(|row| {
        let key = row.key("deviceid")?;
        let device = devices.get(&key);
        let device = device.ok_or_else(|| Fault::new(FaultKind::NoDevice, format_smolstr!("there is no device {key}")))?;
        let time = row.text("fixtime").ok_or_else(|| Fault::new(FaultKind::BadTime, "no fixtime"))?;
        let fix_time = Timestamp::parse(time)
            .ok_or_else(|| Fault::new(FaultKind::BadTime, format_smolstr!("{time:?} is not an ISO 8601 time")))?;
        let needed = |name: &str| row.number(name)?.ok_or_else(|| malformed(format_args!("no {name}")));
        let (lat, lon) = (needed("latitude")?, needed("longitude")?);
        let valid = match (row.text("valid"), row.flag("valid")) {
            (Some(text), None) => return Err(malformed(format_args!("valid: {text:?} is neither true nor false"))),
            (_, flag) => flag.unwrap_or(true),
        };
        let mut fix = FixBuilder::valid(valid);
        if let Some(knots) = row.number("speed")? {
            fix.speed_knots(knots);
        }
        if let Some(degrees) = row.number("course")? {
            fix.course_deg(degrees);
        }
        if let Some(metres) = row.number("altitude")? {
            fix.altitude_m(metres);
        }
        // 0 stands for unknown.
        if let Some(metres) = row.number("accuracy")?.filter(|metres| *metres > 0.0) {
            fix.accuracy_m(metres);
        }
        if let Some(json) = row.text("attributes") {
            let attributes = serde_json::from_str::<serde_json::Map<String, Value>>(json);
            let attributes = attributes.map_err(|_| malformed(format_args!("{json:?} is not a JSON object of attributes")))?;
            for (name, value) in &attributes {
                if let Some((name, value)) = words::attribute(name, value) {
                    fix.set(name, value);
                }
            }
        }
        Ok(TrackPoint { device: device.clone(), fix: fix.at(fix_time, lat, lon)? })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use waystream_domain::{AttributeValue, LatLon, units};

    const POSITIONS: &str = "ID,PROTOCOL,DEVICEID,SERVERTIME,DEVICETIME,FIXTIME,VALID,LATITUDE,LONGITUDE,ALTITUDE,SPEED,COURSE,ADDRESS,ATTRIBUTES,ACCURACY\n\
        1,teltonika,7,2024-06-03 04:11:05,2024-06-03 04:11:04,2024-06-03 04:11:04.5,TRUE,52.1,21.2,110.5,10,90.5,,\"{\"\"ignition\"\":true,\"\"power\"\":12.6,\"\"hours\"\":7200000,\"\"temp1\"\":-4.5,\"\"io72\"\":3,\"\"alarm\"\":\"\"lowBattery,sos\"\",\"\"distance\"\":3.1}\",0\n\
        2,teltonika,8,2024-06-03 04:11:05,,2024-06-03 04:11:04,TRUE,52.1,21.2,0,0,0,,,0\n\
        3,teltonika,7,2024-06-03 04:11:05,,2024-06-03T04:12:04.000+00:00,f,52.1,121.2,\\N,NULL,0,\"a, b\",{},12\n\
        4,teltonika,7,2024-06-03 04:11:05,,yesterday,TRUE,52.1,21.2,0,0,0,,,0\n";

    fn points(rows: impl Iterator<Item = Result<Row, RowFault>>) -> Vec<Result<TrackPoint, String>> {
        let devices = HashMap::from([(7, "356307042441013".parse().unwrap())]);
        rows.map(|row| point(&row.map_err(|e| e.to_string())?, &devices).map_err(|e| e.to_string())).collect()
    }

    #[test]
    fn rows_of_positions_become_fixes_in_our_units_and_words() {
        let all = points(table(POSITIONS.as_bytes(), Manner::Csv));
        let first = all[0].as_ref().unwrap();
        assert_eq!(first.device.as_str(), "356307042441013");
        let fix = &first.fix;
        assert_eq!(fix.fix_time, Timestamp::parse("2024-06-03T04:11:04.5Z").unwrap());
        assert_eq!(fix.location, LatLon::new(52.1, 21.2).unwrap());
        assert_eq!((fix.valid, fix.altitude_m, fix.course_deg, fix.accuracy_m), (true, Some(110.5), Some(90.5), None));
        assert_eq!(fix.speed_mps, Some(units::mps_from_knots(10.0)));
        let told = |name: &str| fix.attributes.get(name).cloned();
        assert_eq!(told("ignition"), Some(AttributeValue::Bool(true)));
        assert_eq!(told("power_v"), Some(AttributeValue::Float(12.6)));
        assert_eq!(told("engine_hours_h"), Some(AttributeValue::Float(2.0)));
        assert_eq!(told("temperature_c.1"), Some(AttributeValue::Float(-4.5)));
        assert_eq!(told("io.72"), Some(AttributeValue::Int(3)));
        assert_eq!(told("alarm"), Some(AttributeValue::Text("low_battery".into())));
        // What follows from neighbours there is computed here too.
        assert_eq!(told("distance"), None);
        let third = &all[2].as_ref().unwrap().fix;
        assert_eq!((third.valid, third.altitude_m, third.speed_mps, third.accuracy_m), (false, None, None, Some(12.0)));
    }

    #[test]
    fn a_row_that_is_no_fix_is_told_with_its_line() {
        let all = points(table(POSITIONS.as_bytes(), Manner::Csv));
        assert_eq!(all[1].as_ref().unwrap_err(), "line 3: there is no device 8 (no_device)");
        assert_eq!(all[3].as_ref().unwrap_err(), "line 5: \"yesterday\" is not an ISO 8601 time (bad_time)");
    }

    /// The same two rows as PostgreSQL's `\copy … CSV HEADER`, H2's `CSVWRITE` and MySQL's client with `--batch` write them: NULL,
    /// truth, times, line breaks, quotes and backslashes in attributes.
    const BY_TOOL: [(&str, Manner); 3] = [
        (
            "id,deviceid,fixtime,valid,latitude,longitude,altitude,speed,course,address,attributes,accuracy\n\
             1,7,2024-06-03 04:11:04.5,t,52.1,21.2,110.5,10,90.5,,\"{\"\"ignition\"\":true,\"\"note\"\":\"\"a \\\"\"b\\\"\", c\\\\d\"\"}\",0\n\
             2,7,2024-06-03 04:12:04,f,52.1,21.2,0,0,0,\"Main St,\nWarsaw\",,0\n",
            Manner::Csv,
        ),
        (
            "\"ID\",\"DEVICEID\",\"FIXTIME\",\"VALID\",\"LATITUDE\",\"LONGITUDE\",\"ALTITUDE\",\"SPEED\",\"COURSE\",\"ADDRESS\",\"ATTRIBUTES\",\"ACCURACY\"\n\
             \"1\",\"7\",\"2024-06-03 04:11:04.5\",\"TRUE\",\"52.1\",\"21.2\",\"110.5\",\"10.0\",\"90.5\",,\"{\"\"ignition\"\":true,\"\"note\"\":\"\"a \\\"\"b\\\"\", c\\\\d\"\"}\",\"0.0\"\n\
             \"2\",\"7\",\"2024-06-03 04:12:04\",\"FALSE\",\"52.1\",\"21.2\",\"0.0\",\"0.0\",\"0.0\",\"Main St,\nWarsaw\",,\"0.0\"\n",
            Manner::Csv,
        ),
        (
            "id\tdeviceid\tfixtime\tvalid\tlatitude\tlongitude\taltitude\tspeed\tcourse\taddress\tattributes\taccuracy\n\
             1\t7\t2024-06-03 04:11:04.500\t\u{1}\t52.1\t21.2\t110.5\t10\t90.5\tNULL\t{\"ignition\":true,\"note\":\"a \\\\\"b\\\\\", c\\\\\\\\d\"}\t0\n\
             2\t7\t2024-06-03 04:12:04\t\\0\t52.1\t21.2\t0\t0\t0\tMain St,\\nWarsaw\tNULL\t0\n",
            Manner::Tabs,
        ),
    ];

    #[test]
    fn what_each_database_writes_is_the_same_here() {
        for (text, manner) in BY_TOOL {
            let all = points(table(text.as_bytes(), manner));
            let [Ok(first), Ok(second)] = &all[..] else { panic!("{all:?}") };
            assert_eq!(first.fix.fix_time, Timestamp::parse("2024-06-03T04:11:04.5Z").unwrap());
            assert_eq!((first.fix.valid, second.fix.valid), (true, false), "{manner:?}");
            assert_eq!((first.fix.altitude_m, second.fix.attributes.is_empty()), (Some(110.5), true), "{manner:?}");
            assert_eq!(first.fix.attributes.get("ignition"), Some(&AttributeValue::Bool(true)));
            let rows: Vec<Row> = table(text.as_bytes(), manner).map(Result::unwrap).collect();
            let attributes = r#"{"ignition":true,"note":"a \"b\", c\\d"}"#;
            assert_eq!((rows[0].text("attributes"), rows[0].text("address")), (Some(attributes), None), "{manner:?}");
            assert_eq!((rows[1].text("attributes"), rows[1].text("address")), (None, Some("Main St,\nWarsaw")), "{manner:?}");
        }
    }

    #[test]
    fn letters_in_another_encoding_spoil_no_row() {
        let text = b"id,name,uniqueid\n7,K\xfchlwagen,356307042441013\n8,Van,356307042441014\n";
        let devices: Vec<Device> = table(&text[..], Manner::Csv).map(|row| device(&row.unwrap()).unwrap()).collect();
        assert_eq!(devices.iter().map(|d| (d.key, d.name.as_str())).collect::<Vec<_>>(), [(7, "K\u{fffd}hlwagen"), (8, "Van")]);
    }

    #[test]
    fn truth_is_read_however_a_database_writes_it() {
        let cases = [("t", true), ("TRUE", true), ("1", true), ("\u{1}", true), ("0x01", true), ("f", false), ("0", false)];
        for (written, valid) in cases.into_iter().chain([("\\0", false), ("0x00", false)]) {
            let text = format!("deviceid\tfixtime\tvalid\tlatitude\tlongitude\r\n7\t2024-06-03 04:11:04\t{written}\t1\t2\r\n");
            let all = points(table(text.as_bytes(), Manner::Tabs));
            assert_eq!(all[0].as_ref().unwrap().fix.valid, valid, "{written:?}");
        }
        let odd = points(table(&b"deviceid,fixtime,valid,latitude,longitude\n7,2024-06-03,perhaps,1,2\n"[..], Manner::Csv));
        assert_eq!(odd[0].as_ref().unwrap_err(), "line 2: valid: \"perhaps\" is neither true nor false (malformed)");
    }

    #[test]
    fn what_the_rest_interface_answers_is_read_like_a_table() {
        let answer = r#"[{"id":1,"deviceId":7,"fixTime":"2024-06-03T04:11:04.500+00:00","valid":true,"latitude":52.1,"longitude":21.2,
            "altitude":110.5,"speed":10.0,"course":90.5,"address":null,"accuracy":0.0,"attributes":{"ignition":true,"power":12.6,
            "hours":7200000,"temp1":-4.5,"io72":3,"alarm":"lowBattery,sos","distance":3.1}}]"#;
        let rest = points(json_rows(answer).unwrap().into_iter().map(Ok));
        assert_eq!(rest[0], points(table(POSITIONS.as_bytes(), Manner::Csv))[0]);
        assert!(json_rows("{}").is_err());
    }

    #[test]
    fn devices_and_groups_have_names_even_if_none_was_given() {
        let rows: Vec<Row> = table(&b"id,name,uniqueid,groupid\n7,Van,356307042441013,3\n8,,abc,0\n9,x,,\n"[..], Manner::Csv)
            .map(Result::unwrap)
            .collect();
        let van = Device { key: 7, id: "356307042441013".parse().unwrap(), name: "Van".into(), group: Some(3) };
        assert_eq!(device(&rows[0]).unwrap(), van);
        assert_eq!(device(&rows[1]).unwrap(), Device { key: 8, id: "abc".parse().unwrap(), name: "abc".into(), group: None });
        assert_eq!(device(&rows[2]).unwrap_err().to_string(), "line 4: identifier is empty (no_device)");
        let rows: Vec<Row> = table(&b"id,name,groupid\n3,,\n4,Vans,3\n"[..], Manner::Csv).map(Result::unwrap).collect();
        assert_eq!(group(&rows[0]).unwrap(), Group { key: 3, name: "Group 3".into(), parent: None });
        assert_eq!(group(&rows[1]).unwrap(), Group { key: 4, name: "Vans".into(), parent: Some(3) });
    }
}
