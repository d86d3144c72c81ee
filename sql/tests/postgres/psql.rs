//! psql, the program that people use.

use crate::server::Server;
use std::process::{Command, Stdio};

/// Runs commands in psql: what it prints, errors behind it.
async fn psql(server: &Server, commands: &[&str]) -> String {
    let mut command = Command::new("psql");
    command.env("PGPASSWORD", &server.anna).env("PAGER", "cat").env("LC_ALL", "C");
    command.args(["-X", "-A", "-h", "127.0.0.1", "-U", "anna", "-d", "waystream", "-p", &server.address.port().to_string()]);
    command.args(commands.iter().flat_map(|one| ["-c", one]));
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output().expect("psql is installed"));
    let output = output.await.unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn its_commands_show_what_there_is() {
    let server = Server::start().await;
    let said = psql(&server, &["\\dt"]).await;
    let tables =
        ["acknowledgements", "devices", "events", "fleets", "geofences", "latest_positions", "positions", "stops", "trips"];
    for table in tables {
        assert!(said.contains(&format!("public|{table}|table|anna")), "{table} is missing in {said}");
    }
    assert!(said.ends_with("(9 rows)\n") && !said.contains("ERROR"), "{said}");
    let said = psql(&server, &["\\d positions"]).await;
    assert!(said.contains("fix_time|timestamp with time zone|") && said.contains("lat|double precision|"), "{said}");
    assert!(!said.contains("ERROR"), "{said}");
    let said = psql(&server, &["\\l"]).await;
    assert!(said.contains("waystream|anna|UTF-8|") && !said.contains("ERROR"), "{said}");
    let mut refused = Vec::new();
    for command in [
        "\\d",
        "\\l+",
        "\\df",
        "\\df+ abs",
        "\\da",
        "\\dv+",
        "\\ds",
        "\\dm",
        "\\dS pg_class",
        "\\d pg_catalog.pg_type",
        "\\dn+",
        "\\du+",
        "\\dC",
        "\\dD",
        "\\do",
        "\\db",
        "\\des",
        "\\dy",
        "\\dt+",
        "\\dn",
        "\\df abs",
        "\\du",
        "\\dv",
        "\\di",
        "\\dp",
        "\\d+ devices",
        "\\conninfo",
        "\\encoding",
        "\\drds",
        "\\dx",
    ] {
        let said = psql(&server, &[command]).await;
        if said.contains("ERROR") || said.contains("FATAL") {
            refused.push(format!("{command}: {said}"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    let said = psql(&server, &["\\d nowhere"]).await;
    assert!(said.contains("Did not find any relation named \"nowhere\""), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn it_asks_and_copies_and_shows_mistakes() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.csv");
    let copy = format!(
        "\\copy (SELECT device, count(*) AS n FROM positions GROUP BY device ORDER BY device) TO '{}' CSV HEADER",
        file.display()
    );
    let said = psql(&server, &["SELECT count(*) AS n FROM positions", &copy]).await;
    assert!(said.starts_with("n\n1000\n(1 row)\nCOPY 10\n"), "{said}");
    let csv = std::fs::read_to_string(&file).unwrap();
    assert!(csv.starts_with("device,n\nn0,100\nn1,100\n") && csv.lines().count() == 11, "{csv}");
    let said = psql(&server, &["SELECT nothing FROM positions"]).await;
    assert!(said.contains("LINE 1: SELECT nothing FROM positions") && said.contains("       ^"), "{said}");
    let said = psql(&server, &["BEGIN", "SELECT 1 AS one", "COMMIT"]).await;
    assert_eq!(said, "BEGIN\none\n1\n(1 row)\nCOMMIT\n");
    server.stop().await;
}
