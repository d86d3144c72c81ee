//! Who may connect to our own broker: a file of lines `name:password`, one for each device or user.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Names and passwords. Not shown.
#[derive(Default)]
pub(super) struct Passwords(HashMap<String, Vec<u8>>);

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passwords", self.0.len())
    }
}

impl Passwords {
    /// From a file. Empty lines and those that begin with `#` are passed over; any other that has no name or no password is an error.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("could not read {}: {error}", path.display()))?;
        let mut all = HashMap::new();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#')) {
            match line.split_once(':') {
                Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                    all.insert(name.to_owned(), password.as_bytes().to_vec());
                }
                _ => return Err(format!("{}, line {number}: not name:password", path.display())),
            }
        }
        Ok(Self(all))
    }

    /// Whether there is a line for this name.
    pub(super) fn know(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a name has a password here, and the same as there.
    pub(super) fn agree(&self, others: &Self, name: &str) -> bool {
        self.know(name) && self.0.get(name) == others.0.get(name)
    }

    /// Whether somebody is who he says. It takes as long for a password that is nearly right as for one that is all wrong.
    pub(super) fn allow(&self, name: &str, password: &[u8]) -> bool {
        let Some(right) = self.0.get(name) else { return false };
        let differences = right.iter().zip(password).fold(right.len() ^ password.len(), |all, (a, b)| all | usize::from(a ^ b));
        differences == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_right_password_of_a_known_name_is_allowed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# devices\nvan-1:secret\n\nvan-2:a:b\n").unwrap();
        let passwords = Passwords::read(file.path()).unwrap();
        assert!(passwords.allow("van-1", b"secret") && passwords.allow("van-2", b"a:b"));
        for (name, password) in
            [("van-1", &b"secre"[..]), ("van-1", b"secrets"), ("van-1", b""), ("van-3", b"secret"), ("", b"")]
        {
            assert!(!passwords.allow(name, password), "{name}");
        }
        assert_eq!(format!("{passwords:?}"), "2 passwords");
    }

    #[test]
    fn a_line_that_says_nothing_is_an_error_that_tells_where() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for line in ["van-1", ":secret", "van-1:"] {
            std::fs::write(file.path(), format!("van-0:a\n{line}\n")).unwrap();
            assert!(Passwords::read(file.path()).unwrap_err().ends_with("line 2: not name:password"), "{line}");
        }
        assert!(Passwords::read(Path::new("/nowhere/at/all")).is_err());
    }
}
