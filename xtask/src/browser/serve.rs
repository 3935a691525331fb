//! A web server for the demo page.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tiny_http::{Header, Method, Request, Response, Server};

/// Serves the files of `site` on this machine until the program is stopped.
pub(super) fn serve(site: &Path, port: u16) -> anyhow::Result<()> {
    let server = listen(port)?;
    let address = server.server_addr();
    println!("     http://{address}/ – Ctrl-C ends");
    for request in server.incoming_requests() {
        answer(site, request);
    }
    Ok(())
}

fn listen(port: u16) -> anyhow::Result<Server> {
    Server::http(("127.0.0.1", port))
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("port {port}; another one: --port"))
}

/// A client that went away is not our concern.
fn answer(site: &Path, request: Request) {
    let is_asked_for = matches!(request.method(), Method::Get | Method::Head);
    let found = if is_asked_for {
        find(site, request.url())
    } else {
        None
    };
    let file = found.and_then(|path| Some((content_type(&path), fs::read(&path).ok()?)));
    let _ = match file {
        Some((kind, bytes)) => {
            // With its length, so that the page knows how far a download is.
            let response = Response::from_data(bytes).with_chunked_threshold(usize::MAX);
            let headers = [("Content-Type", kind), ("Cache-Control", "no-cache")];
            let headers = headers.map(|(name, value)| Header::from_bytes(name, value));
            request.respond(
                headers
                    .into_iter()
                    .flatten()
                    .fold(response, Response::with_header),
            )
        }
        None => request.respond(Response::from_string("not found\n").with_status_code(404)),
    };
}

/// The file of a path; none outside the folder.
fn find(site: &Path, url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = Path::new(path);
    let inside = |component| matches!(component, Component::Normal(_));
    if !path.components().all(inside) {
        return None;
    }
    let path = site.join(path);
    Some(if path.is_dir() {
        path.join("index.html")
    } else {
        path
    })
}

/// WebAssembly and modules need theirs; browsers guess the others.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::thread;

    use super::*;

    #[test]
    fn serves_files_of_the_folder_and_nothing_else() {
        let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/browser");
        let server = listen(0).unwrap();
        let address = server.server_addr().to_ip().unwrap();
        let paths = [
            "/serve.rs?x",
            "/nowhere.html",
            "/../main.rs",
            "/../../Cargo.toml",
        ];
        thread::spawn(move || {
            for request in server.incoming_requests() {
                answer(&site, request);
            }
        });
        let answers = paths.map(|path| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        assert!(answers[0].starts_with("HTTP/1.1 200"), "{}", answers[0]);
        assert!(answers[0].contains("Content-Type: application/octet-stream"));
        assert!(answers[0].contains("Content-Length: "));
        assert!(answers[0].contains("//! A web server for the demo page."));
        for answer in &answers[1..] {
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        }
    }

    #[test]
    fn modules_have_the_types_that_browsers_insist_on() {
        assert_eq!(
            content_type(Path::new("a/neuroprune.wasm")),
            "application/wasm"
        );
        assert!(content_type(Path::new("index.js")).starts_with("text/javascript"));
    }
}
