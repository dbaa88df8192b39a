//! Who may do what at a broker.

use std::path::PathBuf;
use std::time::Duration;

use lastline_nats::{Auth, From, Names, NatsError, NatsOptions, connect};

use crate::job::{broker, finish, host, receive_all, texts, write, written};
use crate::server::{Server, is_there};

/// Writes a job and reads it back.
async fn works(options: NatsOptions) {
    let broker = broker(options).await;
    let inbox = broker.driver(From::Start).await.expect("an inbox");
    let (mut transport, mut texts) = (host(&broker).await, texts());
    write(&mut transport, &mut texts, 2).await;
    finish(transport, &texts).await;
    assert!(receive_all(inbox).await == written(&texts), "each byte once");
}

/// A client that is nobody, or somebody else, is not let in.
async fn refused(options: NatsOptions) {
    let refused = connect(options).await.expect_err("a stranger");
    assert!(matches!(refused, NatsError::NotLetIn { .. } | NatsError::Connect { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_in() {
    if !is_there() {
        return;
    }
    let server = Server::with("authorization { token: \"open sesame\" }");
    let mut options = server.options("token");
    options.auth = Auth::Token("open sesame".into());
    works(options).await;
    refused(server.options("token")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_lets_in() {
    if !is_there() {
        return;
    }
    let key = nkeys::KeyPair::new_user();
    let users = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", key.public_key());
    let place = tempfile::tempdir().expect("a directory");
    let (seed, other) = (place.path().join("user.nk"), place.path().join("other.nk"));
    let server = Server::with_place(place, &users);
    std::fs::write(&seed, format!("# a user\n{}\n", key.seed().expect("it has one")))
        .expect("a file");
    let mut options = server.options("nkey");
    options.auth = Auth::NkeySeedFile(seed);
    works(options).await;
    let seed = nkeys::KeyPair::new_user().seed().expect("it has one");
    std::fs::write(&other, seed).expect("a file");
    let mut options = server.options("nkey");
    options.auth = Auth::NkeySeedFile(other);
    refused(options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file_lets_in() {
    if !is_there() {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let (config, credentials) = crate::jwt::operator(place.path());
    let server = Server::with_place(place, &config);
    let mut options = server.options("credentials");
    options.auth = Auth::CredentialsFile(credentials);
    works(options).await;
    refused(server.options("credentials")).await;
}

/// The permissions in `docs/nats.md`, for one job.
fn user_of(job: &str) -> String {
    let names = Names::new(job).expect("a job id");
    let (all, stream) = (names.all(), names.stream());
    let mut publish = vec![all.clone()];
    for api in [
        "STREAM.INFO.{}",
        "STREAM.MSG.GET.{}",
        "CONSUMER.CREATE.{}.>",
        "CONSUMER.INFO.{}.*",
        "CONSUMER.MSG.NEXT.{}.*",
    ] {
        publish.push(format!("$JS.API.{}", api.replace("{}", &stream)));
    }
    format!(
        "{{ user: \"{job}\", password: \"pw\", permissions: {{ publish: {publish:?}, subscribe: {:?} }} }}",
        [all]
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_confined_to_its_own_subjects() {
    if !is_there() {
        return;
    }
    let users = format!(
        "authorization {{ users: [ {{ user: admin, password: pw }}, {}, {} ] }}",
        user_of("mine"),
        user_of("foreign")
    );
    let server = Server::with(&users);
    let as_user = |job: &str, user: &str| {
        let mut options = server.options(job);
        options.auth = Auth::UserAndPassword { user: user.into(), password: "pw".into() };
        options.answer_timeout = Duration::from_millis(500);
        options
    };
    // Who administers the broker makes the streams.
    for job in ["mine", "foreign"] {
        drop(broker(as_user(job, "admin")).await);
    }
    let mut own = as_user("mine", "mine");
    own.create_stream = false;
    works(own).await;

    let mut foreign = as_user("mine", "foreign");
    foreign.create_stream = false;
    let refused = connect(foreign).await.expect_err("another job's client");
    let NatsError::Stream { why, .. } = refused else { panic!("{refused}") };
    assert!(why.to_lowercase().contains("permissions violation"), "{why}");
    nothing_is_told_to_others(&server).await;
}

/// A foreign job's client neither reads nor writes what is not its own, whatever it tries.
async fn nothing_is_told_to_others(server: &Server) {
    use futures_util::StreamExt as _;
    let options = async_nats::ConnectOptions::with_user_and_password("foreign".into(), "pw".into());
    let options = options.custom_inbox_prefix("lastline.foreign.inbox");
    let url = format!("nats://127.0.0.1:{}", server.port());
    let foreign = options.connect(url).await.expect("it is a user");
    let admin = broker({
        let mut options = server.options("mine");
        options.auth = Auth::UserAndPassword { user: "admin".into(), password: "pw".into() };
        options
    })
    .await;
    let inbox = admin.driver(From::Start).await.expect("an inbox");
    let before = receive_all(inbox).await;

    let mut ears = Vec::new();
    for subject in [">", "lastline.mine.>", "lastline.mine.inbox.>", "_INBOX.>"] {
        ears.push(foreign.subscribe(subject).await.expect("it is sent"));
    }
    for subject in ["lastline.mine.log.0.stdout", "lastline.mine.ask.all", "lastline.mine.ctl.stop"]
    {
        foreign.publish(subject, "forged".into()).await.expect("it is sent");
    }
    foreign.flush().await.expect("the server is there");
    let inbox = admin.driver(From::Start).await.expect("an inbox");
    assert!(receive_all(inbox).await == before, "nothing was forged");
    foreign.flush().await.expect("the server is there");
    for mut ear in ears {
        let heard = tokio::time::timeout(Duration::ZERO, ear.next()).await;
        assert!(!matches!(heard, Ok(Some(_))), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_checked_on_both_sides() {
    if !is_there() {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let files = certificates(place.path());
    let path = |name: &str| files.join(name);
    let config = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        path("server.pem"),
        path("server.key"),
        path("ca.pem")
    );
    let server = Server::with_place(place, &config);
    let mut options = server.options("tls");
    options.connect_timeout = Duration::from_millis(500);
    options.url = format!("tls://localhost:{}", server.port());
    options.tls.required = true;
    options.tls.ca = Some(path("ca.pem"));
    refused(options.clone()).await;
    options.tls.certificate_and_key = Some((path("client.pem"), path("client.key")));
    works(options.clone()).await;
    options.tls.ca = None;
    refused(options).await;
}

/// An authority, and a certificate of it for the server and for a client.
fn certificates(place: &std::path::Path) -> PathBuf {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("a certificate");
    std::fs::write(place.join("ca.pem"), authority.pem()).expect("a file");
    let issuer = Issuer::new(params, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        std::fs::write(place.join(format!("{name}.pem")), certificate.pem()).expect("a file");
        std::fs::write(place.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
    }
    place.to_owned()
}
