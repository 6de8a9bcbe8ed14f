//! A server of the tests' own, on a free port.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, Uri},
    response::IntoResponse,
};
use tokio::runtime::Runtime;

/// Answers every request; the address, `http://HOST:PORT`. Dropping the runtime ends the server.
pub fn serve<A: Future<Output: IntoResponse> + Send + 'static>(
    answer: impl Fn(Method, Uri, HeaderMap, Bytes) -> A + Clone + Send + Sync + 'static,
) -> (String, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer);
    runtime.spawn(async move { axum::serve(listener, app).await });
    (url, runtime)
}
