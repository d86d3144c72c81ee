//! Messages that were somebody's until the place of the IMEI held what can't be one: nothing of them is kept, whatever the rest looks like.
#![allow(clippy::unwrap_used)]

use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, Decoded, FaultKind, Transport};
use waystream_connectors::protocols;
use waystream_domain::Timestamp;

/// Recorded messages that name their device; a piece of each, and what stands there instead. Checksums are counted only, so that none of them
/// is what keeps the message out.
const MESSAGES: [(&str, &str, &str, &str); 15] = [
    // As a number: of more digits.
    (
        "gosafe",
        "f80601013fb82203661b2ee46249007a13003f45feefeeb401db1bbe00000000060e00d602018904036412080c010111e121003100410051010807000000000000004655f8",
        "013fb82203661b",
        "933fb82203661b",
    ),
    (
        "aplicom",
        "44c3014645e8e91b66001f00221f0b01f456ba1e0d56ba1e0b031f842200c6ef550c000000000017bd1cb30004",
        "014645e8e91b66",
        "ff4645e8e91b66",
    ),
    (
        "ruptela",
        "000b00000b1a29f64b1a0902ff4e9caf2c07d608f11a1480ba015030303130ff4e9caf2c07d608f11a1480ba0250303031318c91",
        "00000b1a29f64b1a",
        "80000b1a29f64b1a",
    ),
    (
        "jt808",
        "7e020000344eb6fb4ad6280001000000000000000301587d0106cbff6600000000000026010112000001040000007b30011831010ae80a2003070105019f030190657e",
        "4eb6fb4ad628",
        "feb6fb4ad628",
    ),
    // In packed digits: with some that are none.
    (
        "gt02",
        "68682500000123456789012345000110010101010101026b3f3e026b3f3e000000000000000000010d0a",
        "0123456789012345",
        "01234567890123f5",
    ),
    ("gt06", "78780d010359339075005244340d0a", "0359339075005244", "03593390750052f4"),
    (
        "t800x",
        "2626050040031208696160625731520525050817271100000000844d74c260f80bc2000000000360250508172716ffffffffffffffffffffffff0270ffff0360",
        "0869616062573152",
        "08696160625731a2",
    ),
    (
        "gl200",
        "2b000038000865134050947226820300030000216a3ed6f101895000521629fa8b28f402ac1a8e6a3ed6f100001600000010f505010ff824",
        "0865134050947226",
        "b865134050947226",
    ),
    (
        "eelink",
        "454c0050eae2035254407167747167671200410021590bd93803026b940d0c3952ad0021000000000501cc0001a53f0170f0ab1305890f11000000000000c2d0001c001600000000000000000000000000000000",
        "0352544071677471",
        "0352e44071677471",
    ),
    (
        "ulbotech",
        "f8010103596580419465449da8564e010efe55a1800923d04b0000000000710304000000000404000178d2050603571876220ec3caf8",
        "0359658041946544",
        "0359658041946e44",
    ),
    (
        "calamp",
        "8308353301059723580f01020102088952d994c352d994c4134fa767c4c482e20000c12700000d29006e1002019affc90f061d00060c0000",
        "353301059723580f",
        "3533010597235801",
    ),
    // As a text.
    (
        "galileo",
        "01004e01001c0747ea59333030323334303639363034353930000012000063c85e6903000b0321a8f846aba50000000202001e205f5ec863300c4643fdfdbbe6c8fb330000000034e7013505d400000000",
        "333030323334303639363034353930",
        "333030323334304939363034353930",
    ),
    (
        "dmt",
        "025500310038f90100333533333233303831363639373330003839363130313835303031383234383434363330002202010900000000",
        "333533333233303831363639373330",
        "333533333233f03831363639373330",
    ),
    (
        "huasheng",
        "c000000077aa0200000000000e000100143347315f48312e315f56312e30372e54000300133335353835353035303434303635380004000b3531323030303000050005010006000400070004000800050000090018383936313032353431343533333239313833360d000a000f796573696e7465726e6574c0",
        "333535383535303530343430363538",
        "333535383535303530343430363578",
    ),
    (
        "teltonika",
        "0049cafe0122000f33353734353430373237313339373508010000015d3766f6a800003eef961ec6215e0063006d09003100070401000200f001c8000242381c18003201c7000000e10001",
        "333537343534303732373133393735",
        "3335373435343037323731333937a5",
    ),
];

fn decoded(protocol: &str, hex: &str) -> Decoded {
    let Transport::Socket { decoder, .. } = protocols::by_name(protocol).unwrap().transport else { panic!("{protocol}") };
    // Teltonika's is a datagram; to the others here it makes no difference.
    let received_at = Timestamp::parse("2026-11-30T00:00:00Z").unwrap();
    let context = Context { checksums: Checksums::Count, ..Context::datagram(received_at) };
    decoder().decode(&parse_hex(hex).unwrap(), &context)
}

#[test]
fn a_message_of_no_imei_is_nobodys_and_nothing_of_it_is_kept() {
    for (protocol, message, imei, instead) in MESSAGES {
        assert_eq!(message.matches(imei).count(), 1, "{protocol}");
        let good = decoded(protocol, message);
        assert_eq!(good.device.map(|device| device.as_str().len()), Some(15), "{protocol}: {:?}", good.faults);
        let bad = decoded(protocol, &message.replace(imei, instead));
        assert!(bad.device.is_none() && bad.fixes.is_empty(), "{protocol}: {:?} {:?}", bad.device, bad.fixes);
        let told = |kind, what: &str| bad.faults.iter().any(|fault| fault.kind == kind && fault.detail.contains(what));
        let no_text = told(FaultKind::Malformed, "is not a text");
        assert!(told(FaultKind::NoDevice, "is no IMEI") || no_text, "{protocol}: {:?}", bad.faults);
    }
}

#[test]
fn a_name_in_the_place_of_an_imei_is_taken_if_it_is_one() {
    let message = "2b5253500300fc1fff0064450102020867623130302d446f642f442105007018217345005f010100000001100045073c4d4101db86bd07e106130b2b0f0460000018770013000000030000000106020f2300002714301107e106130b2b1003424efb0d0a";
    let (name, rubbish) = ("67623130302d446f", "6762cb30302d446f");
    assert_eq!(decoded("gl200", message).device.unwrap().as_str(), "gb100-Do");
    let bad = decoded("gl200", &message.replace(name, rubbish));
    assert!(bad.device.is_none() && bad.fixes.is_empty(), "{:?}", bad.device);
    // An id of the maker's may have more digits than an IMEI has.
    let message =
        "8308353301059723580f01020102088952d994c352d994c4134fa767c4c482e20000c12700000d29006e1002019affc90f061d00060c0000";
    let of_the_makers = message.replace("353301059723580f0102", "35330105972358010107");
    assert_eq!(decoded("calamp", &of_the_makers).device.unwrap().as_str(), "3533010597235801");
}
