//! The command line without a node: every help on one screen with an example, exit statuses that
//! scripts can rely on, every mistake of a file in one go, and a start that says what is wrong.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::home::Home;
use crate::node::{KEY, Start};

const COMMANDS: [&[&str]; 11] = [
    &["up"],
    &["mock-provider"],
    &["tenant"],
    &["policy"],
    &["provider"],
    &["price"],
    &["purge"],
    &["explain"],
    &["stats"],
    &["statement"],
    &["config"],
];

/// Lines and columns of one screen.
const SCREEN: (usize, usize) = (40, 80);

#[test]
fn every_help_fits_one_screen_and_shows_an_example() {
    let home = Home::new();
    let root = home.fgy(&["--help"], &[]);
    for command in [&[][..]].iter().chain(&COMMANDS) {
        let said = home.fgy(&[command, &["--help"][..]].concat(), &[]);
        let about = format!("fgy {} --help:\n{}", command.join(" "), said.out);
        assert_eq!(said.status, 0, "{about}");
        let lines = said.out.lines().count();
        let widest = said
            .out
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap();
        assert!(lines <= SCREEN.0, "{lines} lines: {about}");
        assert!(widest <= SCREEN.1, "{widest} columns: {about}");
        let name = command.first().copied().unwrap_or("up");
        let example = said.out.split("Example:").nth(1).unwrap_or_default();
        assert!(
            example.contains(&format!("fgy {name}")),
            "no example: {about}"
        );
        assert!(root.out.contains(name), "{name} is not in {}", root.out);
    }
}

#[test]
fn the_status_is_two_for_bad_usage_and_one_for_bad_input() {
    let home = Home::new();
    for args in [
        &["no-such-command"][..],
        &["up", "--no-such-flag"],
        &["statement"],
        &["purge", "--key"],
        &["tenant", "create"],
        &["tenant", "rotate-key", "x", "--overlap", "soon"],
        &["stats", "--output", "xml"],
        &[],
    ] {
        let said = home.fgy(args, &[]);
        assert_eq!(said.status, 2, "{args:?}: {}", said.err);
        assert!(
            said.err.contains("--help") || said.err.contains("Usage:"),
            "{args:?}: {}",
            said.err
        );
    }
    let token = [("FGY_ADMIN_TOKEN", "a token of more than 24 characters")];
    for (args, env, hint) in [
        (
            &["config", "check", "absent.toml"][..],
            &[][..],
            "absent.toml",
        ),
        (&["stats"], &[], "FGY_ADMIN_TOKEN"),
        (
            &["stats", "--admin-url", "http://127.0.0.1:1"],
            &token,
            "fgy up",
        ),
        (
            &["policy", "apply", "-f", "absent.yaml"],
            &token,
            "absent.yaml",
        ),
        (&["explain", "-f", "absent.json"], &token, "absent.json"),
        (
            &[
                "purge",
                "--older-than",
                "soon",
                "--admin-url",
                "http://127.0.0.1:1",
            ],
            &token,
            "24h",
        ),
        (&["up", "--listen", "nowhere"], &[], "listen"),
        (&["up", "--config", "absent.toml"], &[], "absent.toml"),
        (&["up", "--bootstrap-key", "short"], &[], "bootstrap"),
        (&["up", "--store", "mysql://x"], &[], "store"),
    ] {
        let said = home.fgy(args, env);
        let all = said.out + &said.err;
        assert_eq!(said.status, 1, "{args:?}: {all}");
        assert!(
            all.contains(hint),
            "{args:?} does not speak of {hint}: {all}"
        );
        assert!(!all.contains("panicked"), "{args:?}: {all}");
    }
    assert_eq!(home.fgy(&["--version"], &[]).status, 0);
}

#[test]
fn every_mistake_of_a_file_is_told_at_once_with_its_place() {
    let home = Home::new();
    let text = "listen = \"nowhere\"\nlisten_on = \"127.0.0.1:1\"\n\n[limits]\n\
                body_bytes_max = 3\nbody_byte_max = 4096\n\n[providers.local]\nkind = \"ollama\"\n";
    home.write("bad.toml", text);
    let said = home.fgy(&["config", "check", "bad.toml"], &[]);
    assert_eq!(said.status, 1, "{}", said.out);
    for place in ["1:1", "2:1", "5:1", "6:1", "9:1"] {
        let line = said
            .out
            .lines()
            .find(|line| line.starts_with(&format!("bad.toml:{place}: ")));
        assert!(
            line.is_some_and(|line| line.len() > 30),
            "nothing at {place}: {}",
            said.out
        );
    }
    assert!(
        said.out.contains("body_bytes_max"),
        "no hint at the right name: {}",
        said.out
    );
    home.write("broken.toml", "listen = \n[limits\nx = \"");
    let said = home.fgy(&["config", "check", "broken.toml"], &[]);
    assert!(
        said.status == 1 && said.out.contains("broken.toml:1:"),
        "{}",
        said.out
    );
    home.write(
        "good.toml",
        "listen = \"127.0.0.1:9000\"\n[limits]\nbody_bytes_max = 4096\n",
    );
    let said = home.fgy(&["config", "check", "good.toml"], &[]);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{}", said.out);
}

/// What `fgy up` says when it cannot start.
fn refused(home: &Home, args: &[&str]) -> String {
    let data = home.data();
    let all = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--demo",
    ];
    let data = ["--data", data.to_str().unwrap()];
    let said = home.fgy(&[&all[..], &data, args].concat(), &[]);
    let text = said.out + &said.err;
    assert_eq!(said.status, 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[tokio::test]
async fn a_folder_or_port_in_use_is_named_with_what_to_do() {
    let home = Home::new();
    let node = Start::new(&home, "http://127.0.0.1:1/v1").go().await;
    let said = refused(&home, &[]);
    assert!(
        said.contains("in use by another fgy") && said.contains("FGY_DATA"),
        "{said}"
    );
    assert_eq!(
        node.get("/healthz").await.status,
        200,
        "the first one lives"
    );

    let other = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, variable) in [
        ("--listen", "FGY_LISTEN"),
        ("--admin-listen", "FGY_ADMIN_LISTEN"),
    ] {
        let all = ["up", "--demo", "--data", "there", flag, &address];
        let rest = if flag == "--listen" {
            "--admin-listen"
        } else {
            "--listen"
        };
        let said = other.fgy(&[&all[..], &[rest, "127.0.0.1:0"]].concat(), &[]);
        assert_eq!(said.status, 1, "{}", said.err);
        assert!(
            said.err.contains(variable) && said.err.contains(&address),
            "{}",
            said.err
        );
    }
}

#[tokio::test]
async fn a_damaged_folder_is_named_and_left_as_it_is() {
    let home = Home::new();
    let node = Start::new(&home, "http://127.0.0.1:1/v1").go().await;
    node.kill();
    let registry = home.data().join("registry.json");
    let whole = fs::read(&registry).unwrap();
    for damage in [
        &b""[..],
        b"{",
        b"\xff\xff",
        &whole[..whole.len() / 2],
        b"{\"format\":999}",
    ] {
        fs::write(&registry, damage).unwrap();
        let said = refused(&home, &[]);
        assert!(said.contains("registry.json"), "{said}");
        assert!(
            said.contains("restore it") || said.contains("newer"),
            "{said}"
        );
        assert_eq!(fs::read(&registry).unwrap(), damage, "it was changed");
    }
    fs::write(&registry, &whole).unwrap();
    let key = home.data().join("installation-key");
    let kept = fs::read(&key).unwrap();
    fs::write(&key, b"short").unwrap();
    assert!(refused(&home, &[]).contains("installation-key"));
    fs::write(&key, kept).unwrap();
    // What a kill leaves beside the database would mend it.
    let beside = ["fgy.db-wal", "fgy.db-shm"]
        .map(|name| (home.data().join(name), home.path(name)))
        .into_iter()
        .filter(|(there, _)| there.exists());
    let beside: Vec<_> = beside.collect();
    for (there, aside) in &beside {
        fs::rename(there, aside).unwrap();
    }
    let database = home.data().join("fgy.db");
    let kept = fs::read(&database).unwrap();
    let noise = "this is no database, and is long enough to be looked at".repeat(80);
    fs::write(&database, noise).unwrap();
    let said = refused(&home, &[]);
    assert!(
        said.contains("fgy.db") || said.contains("database"),
        "{said}"
    );
    fs::write(&database, kept).unwrap();
    for (there, aside) in &beside {
        fs::rename(aside, there).unwrap();
    }
    Start::new(&home, "http://127.0.0.1:1/v1").go().await;
}

/// A mode stops nobody who may write anywhere, as tests in containers often do; something in the
/// way of each name stops everybody.
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let home = Home::new();
    home.write("file", "in the way");
    let said = home.fgy(&["up", "--demo", "--data", "file/data"], &[]);
    assert!(
        said.status == 1 && said.err.contains("FGY_DATA"),
        "{}",
        said.err
    );
    for name in ["lock", "registry.json", "fgy.db", "admin-token", "node-id"] {
        let home = Home::new();
        fs::create_dir_all(home.data().join(name)).unwrap();
        let said = refused(&home, &[]);
        assert!(said.contains("/data"), "{name}: {said}");
    }
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    fs::write(home.data().join("journal"), "in the way").unwrap();
    assert!(refused(&home, &[]).contains("/data/journal"));
}

#[tokio::test]
async fn the_folder_is_its_owners_alone() {
    let home = Home::new();
    let node = Start::new(&home, "http://127.0.0.1:1/v1").go().await;
    assert_eq!(
        fs::metadata(home.data()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(!home.logs().contains(KEY), "a given key is not printed");
    assert!(
        !home.logs().contains(node.token.trim()),
        "the admin token is not printed"
    );
}
