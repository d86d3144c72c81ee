//! The protocol table. A protocol is one file here and one line in [`ALL`].

use crate::protocol::Protocol;

mod aplicom;
mod arnavi;
mod atrack;
mod calamp;
mod castel;
mod cellocator;
mod cguard;
mod dmt;
mod easytrack;
mod eelink;
mod egts;
mod fifotrack;
mod galileo;
mod gl200;
mod gosafe;
mod gotop;
mod gps103;
mod gpsgate;
mod gt02;
mod gt06;
mod h02;
mod huasheng;
mod intellitrac;
mod its;
mod ivt401;
pub(crate) mod json;
mod jt600;
mod jt808;
mod khd;
mod laipac;
mod megastek;
mod meiligao;
mod meitrack;
mod minifinder;
mod minifinder2;
mod navis;
mod osmand;
pub mod owntracks;
mod pt502;
mod pt60;
mod ruptela;
mod startek;
mod suntech;
mod t55;
mod t800x;
mod taip;
mod telic;
mod teltonika;
mod tk102;
mod tk103;
mod tlt2h;
mod totem;
mod trv;
mod ulbotech;
mod upro;
mod v680;
mod vt200;
mod watch;
mod wialon;
mod wondex;
mod xexun;
mod xirgo;

/// Every protocol that we speak.
pub const ALL: &[Protocol] = &[
    teltonika::PROTOCOL,
    gt06::PROTOCOL,
    osmand::PROTOCOL,
    owntracks::PROTOCOL,
    json::PROTOCOL,
    h02::PROTOCOL,
    gl200::PROTOCOL,
    gps103::PROTOCOL,
    wialon::PROTOCOL,
    jt808::PROTOCOL,
    tk103::PROTOCOL,
    ruptela::PROTOCOL,
    meitrack::PROTOCOL,
    suntech::PROTOCOL,
    watch::PROTOCOL,
    trv::PROTOCOL,
    xexun::PROTOCOL,
    t55::PROTOCOL,
    meiligao::PROTOCOL,
    eelink::PROTOCOL,
    galileo::PROTOCOL,
    minifinder2::PROTOCOL,
    gt02::PROTOCOL,
    egts::PROTOCOL,
    totem::PROTOCOL,
    laipac::PROTOCOL,
    castel::PROTOCOL,
    upro::PROTOCOL,
    its::PROTOCOL,
    taip::PROTOCOL,
    t800x::PROTOCOL,
    gosafe::PROTOCOL,
    telic::PROTOCOL,
    pt502::PROTOCOL,
    huasheng::PROTOCOL,
    easytrack::PROTOCOL,
    v680::PROTOCOL,
    megastek::PROTOCOL,
    jt600::PROTOCOL,
    minifinder::PROTOCOL,
    cguard::PROTOCOL,
    wondex::PROTOCOL,
    tlt2h::PROTOCOL,
    ulbotech::PROTOCOL,
    startek::PROTOCOL,
    vt200::PROTOCOL,
    khd::PROTOCOL,
    calamp::PROTOCOL,
    cellocator::PROTOCOL,
    gpsgate::PROTOCOL,
    intellitrac::PROTOCOL,
    fifotrack::PROTOCOL,
    atrack::PROTOCOL,
    arnavi::PROTOCOL,
    navis::PROTOCOL,
    aplicom::PROTOCOL,
    tk102::PROTOCOL,
    xirgo::PROTOCOL,
    ivt401::PROTOCOL,
    pt60::PROTOCOL,
    gotop::PROTOCOL,
    dmt::PROTOCOL,
];

/// The protocol of this name.
pub fn by_name(name: &str) -> Option<&'static Protocol> {
    ALL.iter().find(|protocol| protocol.name == name)
}
