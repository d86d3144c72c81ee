//! Records of the topic `audit`: JSON, as the catalog's entries are.

use super::CodecError;
use crate::AuditRecord;

/// Key and value of a record in `audit`.
pub fn encode_audit(record: &AuditRecord) -> (String, Vec<u8>) {
    (record.key.clone(), serde_json::to_vec(record).expect("a record of a change has text keys only"))
}

/// Reads a value of `audit`.
///
/// # Errors
/// If it is none.
pub fn decode_audit(value: &[u8]) -> Result<AuditRecord, CodecError> {
    Ok(serde_json::from_slice(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Access, Change};
    use crate::{Actor, Catalog, CatalogEdit, CatalogEntry, Timestamp};

    #[test]
    fn every_kind_of_record_survives_the_log() {
        let organisation = || "ours".parse().expect("an id");
        let user = |via| Actor::User { user: "anna".parse().expect("an id"), organisation: organisation(), via, address: None };
        let put = CatalogEntry::Organisation(crate::catalog::Organisation { id: organisation(), name: "Ours".into() });
        let edits = [CatalogEdit::Put(put.clone()), CatalogEdit::Remove(put.key())];
        for by in [
            user(Access::Session { session: "0123".into() }),
            user(Access::Token { token: "t".parse().expect("an id") }),
            user(Access::Password),
            user(Access::Link),
            user(Access::Oidc),
            Actor::Nobody { address: Some([192, 0, 2, 1].into()) },
            Actor::Nobody { address: Some("2001:db8::1".parse().expect("an address")) },
            Actor::CommandLine,
            Actor::Program { doing: "demo".into() },
        ] {
            for record in AuditRecord::of_edits(Timestamp::default(), &by, &edits, &Catalog::default()) {
                let (key, value) = encode_audit(&record);
                assert_eq!((key.as_str(), decode_audit(&value).expect("reads")), ("organisation/ours", record));
            }
        }
        for change in [
            Change::Put,
            Change::Removed,
            Change::PasswordChanged,
            Change::SignedIn,
            Change::SignInFailed,
            Change::SignedOut,
            Change::Tested,
            Change::Retried,
        ] {
            assert_eq!(serde_json::to_value(change).expect("JSON"), change.name());
        }
        assert!(decode_audit(b"{}").is_err());
    }
}
