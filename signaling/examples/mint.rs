//! How a backend in Rust signs a join token, EdDSA:
//!
//! ```sh
//! cargo run --release -p rillcast-signaling --example mint -- site.pem KID SITE CONTENT
//! ```
//!
//! In a project of one's own: `jsonwebtoken = { version = "11", features = ["rust_crypto"] }` and
//! `EncodingKey::from_ed_pem` do what `Minter` does here.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rillcast_signaling::auth::mint::Minter;
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [key, kid, site, content] = arguments.as_slice() else {
        return Err("arguments: KEY-FILE KID SITE CONTENT".into());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "site": site,
        "content": content,
        "iat": now,
        "exp": now + 15 * 60,
        // The name of this token: it opens the swarm to one viewer, who may come back as often as needed.
        "jti": format!("{:032x}", u128::from_be_bytes(rillcast_signaling::random::fresh())),
    });
    println!("{}", Minter::from_file(Path::new(key), Some(kid.clone()))?.mint(&claims)?);
    Ok(())
}
