//! A page for Prometheus and one that says that the daemon is well, over the least of HTTP.

use super::status::Service;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a request may have in all.
const LONGEST: usize = 8 << 10;

pub(super) async fn serve(listener: TcpListener, service: Arc<Service>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                let _ =
                    tokio::time::timeout(Duration::from_secs(5), answer(stream, &service)).await;
            });
        }
    }
}

async fn answer(mut stream: TcpStream, service: &Service) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        match stream.read(&mut piece).await? {
            0 => break,
            got => request.extend_from_slice(&piece[..got]),
        }
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") {
        ("200 OK", service.metrics())
    } else if request.starts_with(b"GET /health ") {
        ("200 OK", "ok\n".to_owned())
    } else {
        (
            "404 Not Found",
            "there are /metrics and /health\n".to_owned(),
        )
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
