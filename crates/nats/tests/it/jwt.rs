//! Credentials as `nsc` makes them: an operator, an account and a user, each signed by the one before.

use std::path::{Path, PathBuf};

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// The part of a server's configuration that trusts an operator made here, and a file with the
/// credentials of one user.
pub(crate) fn operator(place: &Path) -> (String, PathBuf) {
    let (operator, account, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    // JetStream wants an account of the server's own.
    let system = KeyPair::new_account();
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1,
        "consumer": -1,
    });
    let operator_token =
        token(&operator, &operator, "operator", json!({ "type": "operator", "version": 2 }));
    let mut nats = json!({ "type": "account", "version": 2, "limits": limits });
    let account_token = token(&operator, &account, "account", nats.clone());
    for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
        nats["limits"][limit] = json!(0);
    }
    let system_token = token(&operator, &system, "system", nats);
    let nats = json!({
        "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {},
    });
    let user_token = token(&account, &user, "user", nats);
    let config = format!(
        "operator: {operator_token}\nsystem_account: {system_key}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {account_token}, {system_key}: {system_token} }}",
        account.public_key(),
        system_key = system.public_key(),
    );
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().expect("it has one")
    );
    let path = place.join("user.creds");
    std::fs::write(&path, credentials).expect("a file");
    (config, path)
}

fn token(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: Value) -> String {
    let mut claims = json!({
        "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name,
        "sub": subject.public_key(), "nats": nats,
    });
    // The server does not look at it; that it is another one for each is enough.
    claims["jti"] = json!(BASE32_NOPAD.encode(subject.public_key().as_bytes()));
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let signed = format!("{}.{}", part(&head), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).expect("it has a seed");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}
