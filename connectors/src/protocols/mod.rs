//! The protocol table. A protocol is one file here and one line in [`ALL`].

use crate::protocol::Protocol;

mod castel;
mod eelink;
mod egts;
mod galileo;
mod gl200;
mod gps103;
mod gt02;
mod gt06;
mod h02;
mod its;
mod jt808;
mod laipac;
mod meiligao;
mod meitrack;
mod minifinder2;
mod osmand;
pub mod owntracks;
mod ruptela;
mod suntech;
mod t55;
mod t800x;
mod taip;
mod teltonika;
mod tk103;
mod totem;
mod trv;
mod upro;
mod watch;
mod wialon;
mod xexun;

/// Every protocol that we speak.
pub const ALL: &[Protocol] = &[
    teltonika::PROTOCOL,
    gt06::PROTOCOL,
    osmand::PROTOCOL,
    owntracks::PROTOCOL,
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
];

/// The protocol of this name.
pub fn by_name(name: &str) -> Option<&'static Protocol> {
    ALL.iter().find(|protocol| protocol.name == name)
}
