//! Tenants and their people, as somebody with a shell makes them, on the real binary.

use crate::common::{System, run, settings};
use reqwest::{Client, redirect};

fn well(arguments: &[&str]) -> String {
    let (out, err, ended_well) = run(arguments).unwrap();
    assert!(ended_well, "{arguments:?}: {err}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_made_on_the_command_line_sees_its_own_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    // Before it runs, and while it runs.
    well(&["organisation", "create", "acme", "--name", "Acme", "--data", data]);
    let system = System::start(folder.path(), &settings(&[])).unwrap();
    let link = well(&["user", "create", "anna", "--organisation", "acme", "--role", "owner", "--data", data]);
    assert!(link.starts_with("/sign-in?token=") && link.ends_with('\n'), "{link}");
    let url = format!("http://{}", system.address("dashboard"));
    let osmand = format!("http://{}/?id=theirs&lat=52.2&lon=21.0&timestamp=1700000000", system.address("osmand"));
    assert_eq!(Client::new().get(osmand).send().await.unwrap().status(), 200);

    let anna = Client::builder().cookie_store(true).build().unwrap();
    let signed_in = anna.get(format!("{url}{}", link.trim())).send().await.unwrap();
    assert!(signed_in.status().is_success());
    let session: serde_json::Value = anna.get(format!("{url}/api/session")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&session["organisation"], &session["fleets"][0]["id"]), (&"acme".into(), &"acme".into()), "{session}");
    let devices = anna.get(format!("{url}/api/devices")).send().await.unwrap().text().await.unwrap();
    assert!(!devices.contains("theirs"), "{devices}");

    let users = well(&["user", "list", "--data", data]);
    assert!(users.contains("anna\tacme\towner\tno\n") && users.contains("admin\tdefault\towner\tno\n"), "{users}");
    let organisations = well(&["organisation", "list", "--data", data]);
    assert!(organisations.contains("acme\tAcme\t1\t1\n"), "{organisations}");
    well(&["user", "role", "anna", "viewer", "--data", data]);
    let session: serde_json::Value = anna.get(format!("{url}/api/session")).send().await.unwrap().json().await.unwrap();
    assert_eq!(session["role"], "viewer");
    // Whoever is let go is out, with all links.
    let unused = well(&["user", "link", "anna", "--data", data]);
    well(&["user", "remove", "anna", "--data", data]);
    assert_eq!(anna.get(format!("{url}/api/session")).send().await.unwrap().status(), 401);
    let nobody = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    for link in [link, unused] {
        assert_eq!(nobody.get(format!("{url}{}", link.trim())).send().await.unwrap().status(), 401);
    }
    for (arguments, says) in [
        (&["user", "create", "otto", "--organisation", "none", "--role", "viewer"][..], "there is no organisation none"),
        (&["user", "create", "admin", "--role", "viewer"], "there is a user admin already"),
        (&["user", "link", "otto"], "there is no user otto"),
        (&["organisation", "create", "default"], "there is an organisation default already"),
    ] {
        let (_, err, ended_well) = run(&[arguments, &["--data", data]].concat()).unwrap();
        assert!(!ended_well && err.contains(says), "{err}");
    }
}

#[test]
fn history_of_a_tenant_goes_in_and_out_on_the_command_line_and_nobody_else_s_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let file = |name: &str, device: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("device_id,time,lat,lon\n{device},2026-03-04T10:00:00Z,52.2,21.0\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ours, theirs) = (file("ours.csv", "ours"), file("theirs.csv", "theirs"));
    well(&["organisation", "create", "acme", "--data", data]);
    well(&["import", &ours, "--data", data]);
    well(&["import", &theirs, "--organisation", "acme", "--data", data]);
    let sql = ["sql", "SELECT device, fleet FROM positions", "--format", "csv", "--data", data];
    let check = || {
        assert_eq!(well(&sql), "device,fleet\nours,default\n");
        let of_acme = ["--organisation", "acme"];
        assert_eq!(well(&[&sql[..], &of_acme].concat()), "device,fleet\ntheirs,acme\n");
        let exported = well(&[&["export", "--data", data][..], &of_acme].concat());
        assert!(exported.lines().count() == 2 && exported.contains("theirs"), "{exported}");
        for (arguments, says) in [
            (&["import", ours.as_str(), "--organisation", "acme"][..], "the fleet default is another organisation's"),
            (&["sql", "SELECT 1", "--organisation", "none"], "there is no organisation none"),
        ] {
            let (_, err, ended_well) = run(&[arguments, &["--data", data]].concat()).unwrap();
            assert!(!ended_well && err.contains(says), "{err}");
        }
    };
    check();
    let _system = System::start(folder.path(), &settings(&[])).unwrap();
    check();
}
