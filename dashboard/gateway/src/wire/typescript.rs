//! Writes the TypeScript of the wire types and example frames, and fails if the committed files are not fresh.

#![allow(clippy::unwrap_used)]

use super::frame::{FrameBuilder, FrameHead, FrameKind, FrameRecord, flags, removed_frame};
use super::*;
use serde_json::json;
use std::fmt::Write;
use std::path::Path;
use ts_rs::Config;

/// `WAYSTREAM_WRITE_WIRE=1 cargo test -p waystream-gateway wire` writes instead of comparing.
const WRITE: &str = "WAYSTREAM_WRITE_WIRE";

fn check(name: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/src/wire").join(name);
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "{name} is not fresh: run `{WRITE}=1 cargo test -p waystream-gateway wire` and commit it");
}

fn declare<T: TS>(out: &mut String) {
    let config = Config::new().with_large_int("number");
    for line in T::docs().unwrap_or_default().lines() {
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    for line in format!("export {}\n", T::decl(&config)).lines() {
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    out.push('\n');
}

macro_rules! declare_all {
    ($out:expr, $($name:ident),+ $(,)?) => { $(declare::<$name>($out);)+ };
}

#[test]
fn the_typescript_types_are_those_of_rust() {
    let mut out = String::from("// Written from dashboard/gateway/src/wire.rs by its tests. Don't edit.\n\n");
    declare_all!(
        &mut out,
        ErrorAnswer,
        PageConfig,
        TileSource,
        OidcButton,
        SignIn,
        NewPassword,
        SessionInfo,
        UnitsName,
        PreferencesInfo,
        TokenScopeName,
        TokenInfo,
        NewTokenRequest,
        NewTokenAnswer,
        RoleName,
        UserInfo,
        NewUserRequest,
        UserEdit,
        UserLink,
        SecondFactorInfo,
        SecondFactorProposal,
        SecondFactorStart,
        SecondFactorCode,
        RecoveryCodes,
        ChangeInfo,
        AuditAnswer,
        FleetInfo,
        FleetEdit,
        CommandRequest,
        CommandInfo,
        DeviceInfo,
        DeviceEdit,
        DeviceDetails,
        DeviceAccessInfo,
        DeviceTokenInfo,
        DeviceTokenAnswer,
        DeviceAddressesEdit,
        UnknownDeviceInfo,
        UnknownDevicePolicyName,
        UnknownDeviceRuleInfo,
        ShareLinkInfo,
        NewShareLinkRequest,
        NewShareLinkAnswer,
        SharedView,
        SharedPosition,
        SharedTrail,
        TransferInfo,
        NewTransferAnswer,
        TransferRedemption,
        NewNotice,
        NoticeAnswer,
        NoticeMessage,
        PresenceAnswer,
        ChannelInfo,
        ChannelEdit,
        QuietHours,
        NotificationRuleInfo,
        NotificationRuleEdit,
        ReportInfo,
        ReportEdit,
        DeliveryInfo,
        DeliveriesAnswer,
        TestAnswer,
        InsideInfo,
        PositionInfo,
        TrackAnswer,
        RangeAnswer,
        ExportRequest,
        NewAcknowledgement,
        NewAcknowledgements,
        AcknowledgementInfo,
        AlertEvent,
        EventsAnswer,
        GeofenceFeature,
        GeofenceProperties,
        GeofenceCollection,
        SqlRequest,
        SqlAnswer,
        SavedQueryInfo,
        SavedQueryEdit,
        SqlColumn,
        SlotsMessage,
        WatchRequest,
        WatchAnswer,
        Viewport,
        DetailMessage,
        OnlyRequest,
        InsideRequest,
        InsideMessage,
        FollowRequest,
        VehicleListRequest,
        VehicleSort,
        VehicleListAnswer,
        ListedVehicle,
        CatalogMessage,
        ReplayRequest,
        ReplayAction,
        ReplayAnswer,
        ReplayAck,
        ReplayState,
        ReplayAlert,
    );
    check("types.ts", &(out.trim_end().to_owned() + "\n"));
}

#[test]
fn the_example_frames_are_those_of_the_encoder() {
    let t0_ms = 1_750_000_000_000;
    let record = |slot, lat_e6, lon_e6, age_ms, status| FrameRecord {
        slot,
        lat_e6,
        lon_e6,
        speed: 543,
        course: 64,
        fix_time_ms: t0_ms - age_ms,
        status,
    };
    let examples: [(&str, FrameKind, u16, Vec<FrameRecord>); 5] = [
        ("an empty snapshot", FrameKind::Snapshot, flags::LAST, vec![]),
        (
            "three vehicles, one report three years old",
            FrameKind::Delta,
            0,
            vec![
                record(0, 52_229_676, 21_012_229, 0, 7),
                record(1, 52_230_001, 21_011_000, 1_230, 0x24),
                record(300, -33_868_820, 151_209_290, 94_608_000_000, 0x45),
            ],
        ),
        (
            "the corners of the world",
            FrameKind::Snapshot,
            flags::LAST,
            vec![record(5, 90_000_000, -180_000_000, 10, 4), record(70_000, -90_000_000, 180_000_000, 20, 0)],
        ),
        (
            "a replay with unknown speed",
            FrameKind::Delta,
            flags::REPLAY,
            vec![FrameRecord { speed: frame::SPEED_UNKNOWN, ..record(2, 1, -1, 100, 6) }],
        ),
        ("three gone", FrameKind::Removed, 0, vec![record(0, 0, 0, 0, 0), record(7, 0, 0, 0, 0), record(1_000, 0, 0, 0, 0)]),
    ];
    let mut all = Vec::new();
    for (seq, (name, kind, extra, records)) in (1..).zip(examples) {
        let head = FrameHead { kind, flags: extra, epoch: 4_000_000_000, seq };
        let bytes = if kind == FrameKind::Removed {
            removed_frame(&records.iter().map(|r| r.slot).collect::<Vec<_>>(), t0_ms, &head)
        } else {
            let mut builder = FrameBuilder::new(t0_ms);
            assert!(records.iter().all(|r| builder.push(r)));
            builder.finish(&head)
        };
        let decoded = frame::decode_frame(&bytes).unwrap();
        let column = |f: fn(&FrameRecord) -> i64| records.iter().map(f).collect::<Vec<_>>();
        let mut example = json!({
            "name": name,
            "hex": hex(&bytes),
            "kind": kind as u8, "flags": decoded.head.flags, "epoch": head.epoch, "seq": seq, "t0": t0_ms,
            "slot": column(|r| i64::from(r.slot)),
        });
        if kind != FrameKind::Removed {
            let columns = example.as_object_mut().unwrap();
            columns.insert("lat_e6".into(), json!(column(|r| i64::from(r.lat_e6))));
            columns.insert("lon_e6".into(), json!(column(|r| i64::from(r.lon_e6))));
            columns.insert("speed".into(), json!(column(|r| i64::from(r.speed))));
            columns.insert("course".into(), json!(column(|r| i64::from(r.course))));
            columns.insert("fix_time".into(), json!(column(|r| r.fix_time_ms)));
            columns.insert("status".into(), json!(column(|r| i64::from(r.status))));
        }
        all.push(example);
    }
    check("frames.json", &(serde_json::to_string_pretty(&all).unwrap() + "\n"));
}

#[test]
fn the_example_frames_of_cells_are_those_of_the_encoder() {
    let t0_ms = 1_750_000_000_000;
    let cell = |cell, looks, speed_kmh, course, place| cells::CellRecord {
        cell,
        sum: cells::CellSum { looks, speed_kmh, course, place },
    };
    let germany = Viewport { zoom: 6, x: 33, y: 20, w: 3, h: 2 };
    let examples = [
        ("nobody", flags::FULL, germany, vec![]),
        (
            "a city, a lone vehicle and the last cell",
            flags::FULL,
            germany,
            vec![
                cell(0, [1_200_000, 0, 34_000, 0, 0, 567], 43, 0, 0x78),
                cell(17, [0, 0, 1, 0, 0, 0], 255, 64, 0xf0),
                cell(95, [0, 299, 0, 1, 0, 0], 254, 0, 0x0f),
            ],
        ),
        (
            "over the antimeridian, one cell has become empty",
            0,
            Viewport { zoom: 22, x: 4_194_303, y: 4_194_303, w: 2, h: 1 },
            vec![cell(3, [0; 6], 255, 0, 0), cell(4, [0, 0, 0, 0, 2, 0], 0, 0, 0x11)],
        ),
        ("cells are over", flags::FULL, Viewport { zoom: 0, x: 0, y: 0, w: 0, h: 0 }, vec![]),
    ];
    let mut all = Vec::new();
    for (seq, (name, flags, viewport, records)) in (1..).zip(examples) {
        let head = FrameHead { kind: FrameKind::Cells, flags, epoch: 4_000_000_000, seq };
        let bytes = cells::cells_frame(&viewport, &records, t0_ms, &head);
        assert_eq!(cells::decode_cells(&bytes).unwrap().cells, records);
        let column = |f: fn(&cells::CellSum) -> u32| records.iter().map(|r| f(&r.sum)).collect::<Vec<_>>();
        all.push(json!({
            "name": name, "hex": hex(&bytes), "kind": 3, "flags": flags, "epoch": head.epoch, "seq": seq, "t0": t0_ms,
            "viewport": viewport, "cell": records.iter().map(|r| r.cell).collect::<Vec<_>>(),
            "looks": records.iter().map(|r| r.sum.looks).collect::<Vec<_>>(), "speed": column(|s| u32::from(s.speed_kmh)),
            "course": column(|s| u32::from(s.course)), "place": column(|s| u32::from(s.place)),
        }));
    }
    check("cells.json", &(serde_json::to_string_pretty(&all).unwrap() + "\n"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, b| {
        write!(hex, "{b:02x}").unwrap();
        hex
    })
}
