//! Traccar's users, and what links them to devices and groups.

use super::super::RowFault;
use super::Row;
use crate::protocol::Fault;
use crate::readers::malformed;
use waystream_domain::catalog::Role;
use waystream_domain::{Timestamp, UserId};

/// A user there. Of the password there is a hash only, of a kind that is not ours.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Its number in Traccar's tables.
    pub key: i64,
    /// The e-mail address; with it one signs in, here as there.
    pub id: UserId,
    /// An administrator is an owner; who may not change everything is a viewer, as here nothing is in between.
    pub role: Role,
    /// Whether nobody may sign in so: the account is disabled, or was made for a while only.
    pub closed: bool,
    /// No longer valid from then on.
    pub expires_at: Option<Timestamp>,
}

/// A row of `tc_users`.
pub fn user(row: &Row) -> Result<User, RowFault> {
    row.read(|row| {
        let address = row.text("email").or_else(|| row.text("login")).ok_or_else(|| malformed("no email"))?;
        let id = UserId::new(address).map_err(malformed)?;
        let restricted = says(row, "readonly")? | says(row, "devicereadonly")? | says(row, "limitcommands")?;
        let role = match says(row, "administrator")? {
            true => Role::Owner,
            false if restricted => Role::Viewer,
            false => Role::Dispatcher,
        };
        let time = |text: &str| {
            Timestamp::parse(text).ok_or_else(|| malformed(format_args!("expirationtime: {text:?} is not an ISO 8601 time")))
        };
        let expires_at = row.text("expirationtime").map(time).transpose()?;
        let closed = says(row, "disabled")? | says(row, "temporary")?;
        Ok(User { key: row.key("id")?, id, role, closed, expires_at })
    })
}

/// A row of `tc_user_device` or `tc_user_group`: the numbers of a user, and of the device or group that the column names.
pub fn link(row: &Row, column: &str) -> Result<(i64, i64), RowFault> {
    row.read(|row| Ok((row.key("userid")?, row.key(column)?)))
}

/// What can't be read must not pass for a permission.
fn says(row: &Row, name: &str) -> Result<bool, Fault> {
    match (row.text(name), row.flag(name)) {
        (None, _) => Ok(false),
        (Some(_), Some(flag)) => Ok(flag),
        (Some(text), None) => Err(malformed(format_args!("{name}: {text:?} is neither true nor false"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Manner, json_rows, table};
    use super::*;

    /// As PostgreSQL writes the table.
    const USERS: &str = "id,name,email,hashedpassword,salt,readonly,administrator,disabled,expirationtime,devicereadonly,limitcommands,login,temporary\n\
        1,Boss,boss@example.org,5a1d,77,t,t,f,,f,f,,f\n\
        2,Office, office@example.org ,5a1d,77,f,f,f,,f,f,,f\n\
        3,Wall,wall@example.org,5a1d,77,t,f,f,,f,f,,f\n\
        4,Yard,yard@example.org,5a1d,77,f,f,f,,t,f,,f\n\
        5,Guest,guest@example.org,5a1d,77,f,f,f,2024-06-03 04:11:04,f,t,,f\n\
        6,Gone,gone@example.org,5a1d,77,f,f,t,,f,f,,f\n\
        7,Share,,5a1d,77,t,f,f,,f,f,share-7,t\n\
        8,Nobody,,,,f,f,f,,f,f,,f\n\
        9,Odd,odd@example.org,,,perhaps,f,f,,f,f,,f\n";

    #[test]
    fn users_have_the_role_that_allows_no_more_than_theirs() {
        let all: Vec<Result<User, String>> =
            table(USERS.as_bytes(), Manner::Csv).map(|row| user(&row.unwrap()).map_err(|error| error.to_string())).collect();
        let told: Vec<(&str, Role)> = all.iter().flatten().map(|user| (user.id.as_str(), user.role)).collect();
        let expected = [
            ("boss@example.org", Role::Owner),
            ("office@example.org", Role::Dispatcher),
            ("wall@example.org", Role::Viewer),
            ("yard@example.org", Role::Viewer),
            ("guest@example.org", Role::Viewer),
            ("gone@example.org", Role::Dispatcher),
            ("share-7", Role::Viewer),
        ];
        assert_eq!(told, expected);
        let closed: Vec<i64> = all.iter().flatten().filter(|user| user.closed).map(|user| user.key).collect();
        assert_eq!(closed, [6, 7]);
        assert_eq!(all[4].as_ref().unwrap().expires_at, Timestamp::parse("2024-06-03T04:11:04Z"));
        assert_eq!(all[7], Err("line 9: no email (malformed)".to_owned()));
        assert_eq!(all[8], Err("line 10: readonly: \"perhaps\" is neither true nor false (malformed)".to_owned()));
    }

    #[test]
    fn the_rest_interface_tells_the_same() {
        let answer = r#"[{"id":5,"attributes":{},"name":"Guest","login":null,"email":"guest@example.org","phone":"","readonly":false,
            "administrator":false,"disabled":false,"expirationTime":"2024-06-03T04:11:04.000+00:00","deviceLimit":-1,"userLimit":0,
            "deviceReadonly":false,"limitCommands":true,"temporary":false,"password":null}]"#;
        let told = user(&json_rows(answer).unwrap()[0]).unwrap();
        let row = table(USERS.as_bytes(), Manner::Csv).nth(4).unwrap().unwrap();
        assert_eq!(told, user(&row).unwrap());
        let row = table(&b"USERID,DEVICEID\n5,7\n"[..], Manner::Csv).next().unwrap().unwrap();
        assert_eq!(link(&row, "deviceid").unwrap(), (5, 7));
    }
}
