//! Goal: every variable means the same in a flag, the environment and the file, the stronger layer
//! wins, and what is wrong is told at once and without the secrets. Method: whole configurations.

use super::args::VARIABLES;
use super::*;

const TOKEN: &str = "k3J9-vQ2x-77Lm-pZ0a-Ws8T-yB";

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().copied().collect()
}

fn up(file: &str) -> Result<Settings, Vec<Mistake>> {
    settings(
        Mode::Up,
        &Args::default(),
        &Environment::default(),
        Some(file),
    )
}

fn told(result: Result<Settings, Vec<Mistake>>) -> Vec<String> {
    result
        .map(|_| ())
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn nothing_given_is_a_lone_node() {
    let settings = settings(Mode::Up, &Args::default(), &Environment::default(), None).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.gossip_listen.to_string(), "127.0.0.1:8083");
    assert_eq!(settings.store, "sqlite:./fgy-data/fgy.db");
    assert_eq!(settings.upstream, "https://api.openai.com/v1");
    assert_eq!(settings.limits.body_bytes_max, 32 << 20);
    assert!(settings.peer_tls && settings.admin_token.is_none() && settings.providers.is_empty());
    assert_eq!(settings.embedding.vector_dimensions, 384);
}

#[test]
fn flag_over_environment_over_file_over_platform() {
    let file = "region = \"file\"\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:1\"\n\
                zone = \"file\"\n";
    let environment = env(&[
        ("FLY_REGION", "fly"),
        ("FLY_MACHINE_ID", "fly"),
        ("FGY_LISTEN", "127.0.0.1:2"),
        ("FGY_ADMIN_LISTEN", "127.0.0.1:2"),
        ("FGY_ZONE", ""),
    ]);
    let args = Args {
        admin_listen: Some("127.0.0.1:3".into()),
        ..Args::default()
    };
    let settings = settings(Mode::Up, &args, &environment, Some(file)).unwrap();
    assert_eq!(
        (settings.listen.port(), settings.admin_listen.port()),
        (2, 3)
    );
    assert_eq!(settings.region.as_deref(), Some("file"));
    assert_eq!(settings.node_id.as_deref(), Some("fly"));
    assert_eq!(
        settings.zone.as_deref(),
        Some("file"),
        "an empty variable is not set"
    );
}

#[test]
fn each_variable_has_one_name_in_three_spellings() {
    use clap::Args as _;
    let command = Args::augment_args(clap::Command::new("fgy"));
    for (key, name) in VARIABLES {
        assert_eq!(*name, format!("FGY_{}", key.to_ascii_uppercase()));
        let flag = key.replace('_', "-");
        assert!(
            command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(&flag)),
            "--{flag}"
        );
    }
}

#[test]
fn sections_are_read() {
    let file = r#"
store_shared = false
seeds = ["one.internal:8083", "[::1]:8083"]

[providers.ollama]
base_url = "http://127.0.0.1:11434/v1/"
models = ["llama3", "qwen*"]
auth = "none"
forward_headers = ["X-Trace"]

[embedding]
provider = "ollama"
key_env = "EMBED_KEY"

[limits]
body_bytes_max = 1_048_576
drain_seconds = 0
"#;
    let environment = Environment::from_iter([("EMBED_KEY", "sk-embed")]);
    let settings = settings(Mode::Up, &Args::default(), &environment, Some(file)).unwrap();
    assert!(settings.embedding_key.is_some());
    let expected = Provider {
        name: "ollama".into(),
        kind: ProviderKind::OpenAi,
        base_url: "http://127.0.0.1:11434/v1".into(),
        models: vec!["llama3".into(), "qwen*".into()],
        auth: Auth::None,
        forward_headers: vec!["x-trace".into()],
    };
    assert_eq!(settings.providers.get("ollama"), Some(&expected));
    assert_eq!(settings.seeds, ["one.internal:8083", "[::1]:8083"]);
    assert_eq!(
        (
            settings.limits.body_bytes_max,
            settings.limits.drain_seconds
        ),
        (1 << 20, 0)
    );
    assert_eq!(settings.store_shared, Some(false));
    let embedding = (
        &*settings.embedding.embedding_model,
        settings.embedding.vector_dimensions,
    );
    assert_eq!(embedding, ("text-embedding-3-small", 1_536));
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let file = "\
listne = \"127.0.0.1:8080\"
admin_listen = \"8081\"
peer_tls = \"maybe\"
upstream = \"https://user:pass@host/v1\"
store = \"mysql://secret@host\"
seeds = [\"::1:8083\"]
log_format = 3.5
tls_cert = \"cert.pem\"
[limits]
body_bytes_max = 0
body_byte_max = 5
[providers.a]
kind = \"carrier-pigeon\"
forward_headers = [\"Authorization\"]
[providers.b.deeper]
x = 1
[embedding]
provider = \"nobody\"
vector_dimensions = -1
";
    let expected = [
        "1:1: listne: unknown key, did you mean `listen`",
        "2:1: admin_listen: is `8081`; write an address and a port, such as 127.0.0.1:8081",
        "3:1: peer_tls: is `maybe`; write one of on, off",
        "4:1: upstream: carries credentials; give them as a key instead",
        "5:1: store: is sqlite:PATH or a postgres:// URL",
        "6:1: seeds: has `::1:8083`; write host:port, an IPv6 address as [::1]:8083",
        "7:1: log_format: is a fraction",
        "8:1: tls_cert: is given without tls_key",
        "10:1: limits.body_bytes_max: is a whole number from 1024 to 1073741824",
        "11:1: limits.body_byte_max: unknown key, did you mean `body_bytes_max`",
        "13:1: providers.a.base_url: missing",
        "13:1: providers.a.kind: is `carrier-pigeon`; write one of openai, anthropic",
        "14:1: providers.a.forward_headers: `Authorization` is never passed on from a caller",
        "16:1: providers.b.deeper.x: unknown section",
        "18:1: embedding.provider: is `local` or the NAME of a [providers.NAME] section",
        "19:1: embedding.vector_dimensions: is `-1`; write a whole number from 1 to 16384",
    ];
    let mut told = told(up(file));
    // Two mistakes of one place are told in the order of their keys.
    told.sort_by_key(|line| line.split(':').next().and_then(|n| n.parse::<u32>().ok()));
    assert_eq!(told, expected);
}

#[test]
fn the_local_model_is_what_it_is() {
    let file = "[embedding]\nvector_dimensions = 512\nembedding_model = \"bert\"\n";
    let expected = [
        "2:1: embedding.vector_dimensions: is 384 for the local model",
        "3:1: embedding.embedding_model: is all-MiniLM-L6-v2 where provider is `local`",
    ];
    assert_eq!(told(up(file)), expected);
    let right = "[embedding]\nprovider = \"local\"\nvector_dimensions = 384\n";
    assert!(up(right).is_ok());
}

#[test]
fn text_that_is_not_toml_is_placed_too() {
    let told = told(up("listen = \nzone = \"a\"\nzone = \"b\"\n"));
    assert!(told.len() >= 2, "{told:?}");
    assert!(
        told[0].starts_with("1:") && told[0].contains("not TOML"),
        "{told:?}"
    );
    assert!(
        told.iter().any(|line| line.starts_with("3:1: not TOML")),
        "{told:?}"
    );
}

#[test]
fn a_node_of_a_cluster_is_given_its_secrets() {
    let serve = |pairs: &[(&str, &str)]| settings(Mode::Serve, &Args::default(), &env(pairs), None);
    assert!(
        told(serve(&[]))
            .iter()
            .any(|line| line.starts_with("admin_token: is empty"))
    );
    let token = ("FGY_ADMIN_TOKEN", TOKEN);
    assert!(serve(&[token]).is_ok());
    let seeds = ("FGY_SEEDS", "a:8083");
    let lines = told(serve(&[token, seeds]));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("cluster_secret") && lines[1].starts_with("store"),
        "{lines:?}"
    );
    let secret = ("FGY_CLUSTER_SECRET", "w8F2-mN4q-55Tz-cX1b-Kd6G-hR");
    let same = told(serve(&[token, seeds, ("FGY_CLUSTER_SECRET", TOKEN)]));
    let same = same
        .iter()
        .find(|line| line.starts_with("FGY_CLUSTER_SECRET"));
    assert!(same.is_some_and(|line| line.contains("same as admin_token") && !line.contains(TOKEN)));
    assert!(serve(&[token, seeds, secret, ("FGY_STORE", "postgres://db/fgy")]).is_ok());
    let everywhere = ("FGY_PEER_LISTEN", "0.0.0.0:8082");
    assert!(told(serve(&[token, everywhere]))[0].contains("set advertise"));
    assert!(serve(&[token, everywhere, ("FLY_PRIVATE_IP", "fdaa::3")]).is_ok());
    let clear = [
        token,
        ("FGY_PEER_TLS", "off"),
        ("FGY_PEER_LISTEN", "10.0.0.1:8082"),
    ];
    assert!(told(serve(&clear))[0].contains("loopback only"));
}

#[test]
fn a_weak_secret_is_refused_and_not_repeated() {
    let table = [
        ("", Some("is empty")),
        ("short", Some("is shorter than 24 characters")),
        (
            "change-me-change-me-change-me",
            Some("is a documented example"),
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            Some("repeats a handful of characters"),
        ),
        (TOKEN, None),
    ];
    for (secret, why) in table {
        assert_eq!(weak(secret), why, "{secret}");
    }
    for key in ["FGY_ADMIN_TOKEN", "FGY_CLUSTER_SECRET", "FGY_BOOTSTRAP_KEY"] {
        let result = settings(Mode::Up, &Args::default(), &env(&[(key, "hunter2")]), None);
        let lines = told(result);
        assert!(
            lines[0].starts_with(key) && !lines[0].contains("hunter2"),
            "{lines:?}"
        );
    }
    let given = env(&[("FGY_ADMIN_TOKEN", TOKEN)]);
    let read = settings(Mode::Up, &Args::default(), &given, None).unwrap();
    let args = Args {
        admin_token: Some(TOKEN.into()),
        ..Args::default()
    };
    assert!(!format!("{given:?} {read:?} {args:?}").contains(TOKEN));
    assert_eq!(read.admin_token.unwrap().reveal(), TOKEN.as_bytes());
}

#[test]
fn an_unknown_variable_is_one_warning() {
    let environment = env(&[
        ("FGY_LISTN", "x"),
        ("FGY_SOMETHING_ELSE_ENTIRELY", "x"),
        ("FGY_LISTEN", "127.0.0.1:0"),
        ("FGY_ADMIN_URL", "x"),
        ("HOME", "x"),
    ]);
    let expected = [
        "FGY_LISTN is unknown, did you mean FGY_LISTEN",
        "FGY_SOMETHING_ELSE_ENTIRELY is unknown and has no effect",
    ];
    assert_eq!(environment.warnings(), expected);
}
