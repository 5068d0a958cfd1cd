//! How a command speaks to a running node: over the admin API, with the token from the environment
//! or from the node's folder.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Environment;
use crate::node::TOKEN_FILE;

/// Longer than any admin call should take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which node to ask.
#[derive(Args, Clone)]
pub(crate) struct Target {
    /// The node's admin API [default: $FGY_ADMIN_URL, else http://$FGY_ADMIN_LISTEN, else http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", global = true)]
    admin_url: Option<String>,
    /// The node's folder, where its token is [default: $FGY_DATA, else ./fgy-data]
    #[arg(long, value_name = "FOLDER", global = true)]
    data: Option<PathBuf>,
}

/// A connection to a node's admin API.
pub(crate) struct AdminClient {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl AdminClient {
    pub(crate) fn new(target: &Target, environment: &Environment) -> anyhow::Result<AdminClient> {
        let listen = environment
            .get("FGY_ADMIN_LISTEN")
            .unwrap_or("127.0.0.1:8081");
        let base = target
            .admin_url
            .clone()
            .or_else(|| environment.get("FGY_ADMIN_URL").map(str::to_owned))
            .unwrap_or_else(|| format!("http://{listen}"));
        let token = match environment.get("FGY_ADMIN_TOKEN") {
            Some(token) => token.to_owned(),
            None => token_in_folder(target, environment)?,
        };
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(AdminClient {
            client,
            base: base.trim_end_matches('/').to_owned(),
            token,
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(self.request(Method::GET, path)).await
    }

    /// A whole list, page by page: what each page calls it.
    pub(crate) async fn list(&self, path: &str, called: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut query) = (Vec::new(), String::new());
        loop {
            let mut page: Value = self.get(&format!("{path}{query}")).await?;
            match page[called].take() {
                Value::Array(mut more) => items.append(&mut more),
                _ => bail!("the node's answer is of another version of fgy"),
            }
            match page["next"].as_str() {
                Some(next) => query = format!("?after={}", segment(next)),
                None => return Ok(items),
            }
        }
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<T> {
        self.post_json_text(path, body.to_string()).await
    }

    /// The same with JSON that is text already, sent as it stands.
    pub(crate) async fn post_json_text<T: DeserializeOwned>(
        &self,
        path: &str,
        text: String,
    ) -> anyhow::Result<T> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        self.ask(request.body(text)).await
    }

    pub(crate) async fn post_text<T: DeserializeOwned>(
        &self,
        path: &str,
        text: String,
    ) -> anyhow::Result<T> {
        self.ask(self.request(Method::POST, path).body(text)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/admin/v1{path}", self.base))
            .bearer_auth(&self.token)
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = request.send().await.with_context(|| {
            format!(
                "no node answers at {}: start one with `fgy up`, or set FGY_ADMIN_URL",
                self.base
            )
        })?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .context("the node's answer broke off")?;
        if !status.is_success() {
            bail!("{}", complaint(&body).unwrap_or_else(|| status.to_string()));
        }
        serde_json::from_slice(&body).context("the node's answer is of another version of fgy")
    }
}

/// A name as one segment of a path: what is not a plain letter is written as bytes.
pub(crate) fn segment(name: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let written = name.bytes().map(|byte| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    written.collect()
}

fn complaint(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.get("error")?.get("message")?.as_str()?.to_owned())
}

fn token_in_folder(target: &Target, environment: &Environment) -> anyhow::Result<String> {
    let folder = target
        .data
        .clone()
        .unwrap_or_else(|| environment.get("FGY_DATA").unwrap_or("./fgy-data").into());
    let path = folder.join(TOKEN_FILE);
    let token = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "no admin token in {}: set FGY_ADMIN_TOKEN, or FGY_DATA to the node's folder",
            path.display()
        )
    })?;
    Ok(token.trim().to_owned())
}
