//! Fixes, decisions and marks as few bytes: differences to the fix before, in variable-length numbers. About ten bytes a fix.

use crate::standing::{Entry, Gone, Mark, Member, Step};
use crate::{Fix, FleetId, GeofenceId, LatLon, Timestamp};

/// Bits of an entry's first byte.
const MARK: u8 = 1;
const FLEET: u8 = 1 << 1;
const MEMBERS: u8 = 1 << 2;
const SPEED: u8 = 1 << 3;
const IGNITION_KNOWN: u8 = 1 << 4;
const IGNITION_ON: u8 = 1 << 5;
/// Bits of a member's flags.
const NEAR: u8 = 1;
const DWELL: u8 = 1 << 1;

/// Appends an entry that follows the fix `previous`.
pub(super) fn put(out: &mut Vec<u8>, entry: &Entry, previous: Option<&Fix>) {
    match entry {
        Entry::Step(step) => put_step(out, step, previous),
        Entry::Mark(mark) => {
            out.push(MARK | if mark.fleet.is_some() { FLEET } else { 0 });
            if let Some(fleet) = &mark.fleet {
                put_text(out, fleet.as_str());
            }
            put_members(out, &mark.members);
            put_number(out, mark.gone.len() as u64);
            for gone in &mark.gone {
                put_text(out, gone.geofence.as_str());
                put_number(out, gone.version);
                out.push(u8::from(gone.removed));
            }
        }
    }
}

/// Appends a step that follows the fix `previous`.
pub(super) fn put_step(out: &mut Vec<u8>, step: &Step, previous: Option<&Fix>) {
    let Fix { fix_time, location, speed_mps, ignition } = step.fix;
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(
        bit(step.fleet.is_some(), FLEET)
            | bit(step.members.is_some(), MEMBERS)
            | bit(speed_mps.is_some(), SPEED)
            | bit(ignition.is_some(), IGNITION_KNOWN)
            | bit(ignition == Some(true), IGNITION_ON),
    );
    let (time, lat, lon) = base(previous);
    put_number(out, zigzag(fix_time.as_millis() - time));
    put_number(out, zigzag(i64::from(location.lat_e7()) - lat));
    put_number(out, zigzag(i64::from(location.lon_e7()) - lon));
    if let Some(speed) = speed_mps {
        out.extend_from_slice(&speed.to_le_bytes());
    }
    if let Some(fleet) = &step.fleet {
        put_text(out, fleet.as_str());
    }
    if let Some(members) = &step.members {
        put_members(out, members);
    }
}

fn base(previous: Option<&Fix>) -> (i64, i64, i64) {
    previous.map_or((0, 0, 0), |p| (p.fix_time.as_millis(), i64::from(p.location.lat_e7()), i64::from(p.location.lon_e7())))
}

fn put_members(out: &mut Vec<u8>, members: &[Member]) {
    put_number(out, members.len() as u64);
    for member in members {
        put_text(out, member.geofence.as_str());
        put_number(out, member.version);
        out.push(if member.near { NEAR } else { 0 } | if member.dwell_ms > 0 { DWELL } else { 0 });
        if member.dwell_ms > 0 {
            put_number(out, u64::from(member.dwell_ms));
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Seven bits a byte, least first (LEB128).
fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads what [`put`] has written.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    /// The next entry, that follows the fix `previous`; `None` if the bytes are none.
    pub(super) fn entry(&mut self, previous: Option<&Fix>) -> Option<Entry> {
        let flags = self.byte()?;
        if flags & MARK != 0 {
            let fleet = if flags & FLEET != 0 { Some(FleetId::new(self.text()?).ok()?) } else { None };
            let members = self.members()?;
            let gone = (0..self.number()?).map(|_| {
                let geofence = GeofenceId::new(self.text()?).ok()?;
                Some(Gone { geofence, version: self.number()?, removed: self.byte()? != 0 })
            });
            let gone = gone.collect::<Option<_>>()?;
            return Some(Entry::Mark(Mark { fleet, members, gone }));
        }
        let (time, lat, lon) = base(previous);
        let fix_time = Timestamp::from_millis(time.checked_add(unzigzag(self.number()?))?)?;
        let lat = i32::try_from(lat.checked_add(unzigzag(self.number()?))?).ok()?;
        let lon = i32::try_from(lon.checked_add(unzigzag(self.number()?))?).ok()?;
        let speed_mps = match flags & SPEED != 0 {
            true => Some(f32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            false => None,
        };
        let ignition = (flags & IGNITION_KNOWN != 0).then_some(flags & IGNITION_ON != 0);
        let fix = Fix { fix_time, location: LatLon::from_e7(lat, lon)?, speed_mps, ignition };
        let fleet = if flags & FLEET != 0 { Some(FleetId::new(self.text()?).ok()?) } else { None };
        let members = if flags & MEMBERS != 0 { Some(self.members()?) } else { None };
        Some(Entry::Step(Step { fix, fleet, members }))
    }

    fn members(&mut self) -> Option<Vec<Member>> {
        let count = self.number()?;
        let member = |_| {
            let geofence = GeofenceId::new(self.text()?).ok()?;
            let version = self.number()?;
            let flags = self.byte()?;
            let dwell_ms = if flags & DWELL != 0 { u32::try_from(self.number()?).ok()? } else { 0 };
            Some(Member { geofence, version, near: flags & NEAR != 0, dwell_ms })
        };
        (0..count).map(member).collect()
    }

    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}
