//! Real browsers, driven from Rust: each is launched by a Node process of its own (`tests/driver/driver.mjs`, with
//! puppeteer) that can run inside a network namespace. Everything is killed when its [`Browser`] is dropped.

mod driver;
mod flags;
mod page;
mod process_tree;

pub use driver::{Browser, BrowserError};
pub use flags::{Kind, Launch};
pub use page::Page;

pub(crate) use driver::node_modules;
