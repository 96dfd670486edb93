//! The server's behaviour, seen from outside. One binary, so that it links once.

mod atlas;
mod bearer;
mod bundle;
mod company;
mod digests;
mod geo;
mod http;
mod keys;
mod kit;
mod limits;
mod meeting;
mod nat;
mod operator;
mod policy;
mod properties;
mod proxies;
mod publishing;
mod quotas;
mod receipts;
mod revocations;
mod sites;
mod start;
mod tickets;
mod token_command;
mod tokens;
mod turn;
