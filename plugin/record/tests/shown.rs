//! What whoever only looks is told of who leads a tree.

use std::time::Duration;

use crate::{
    cluster::{LockId, Namespace, TreeName},
    nomad::{Cas, Client, Lock, Token, fake::FakeNomad},
    record::{
        header::{Header, Term},
        path, shown,
    },
};

#[tokio::test]
async fn that_nobody_leads_is_said_only_by_whoever_is_shown_locks() {
    let fake = FakeNomad::start();
    let client = Client::new(fake.endpoint(), Token::new("reader"));
    let (namespace, tree): (Namespace, TreeName) = ("default".into(), "default/shop".into());
    let term = Term { epoch: 1, alloc: "a1".into() };
    let header = Header { term, since: 1, run: None, n_chunks: 0 }.write("default/shop");
    client.put_variable(&namespace, &path::header(&tree), &header, Cas::Any).await.unwrap();
    let lock = Lock { id: LockId::of(["a1"]), ttl: Duration::from_secs(10), delay: Duration::from_secs(1) };
    client.acquire_lock(&namespace, &path::lock(&tree), &[].into(), &lock).await.unwrap();

    let is_led = async || shown(&client, &namespace, &tree).await.unwrap().unwrap().is_led;
    assert_eq!(is_led().await, Some(true));
    fake.state().acls = true;
    fake.state().allowed.insert(("reader".to_owned(), "default".to_owned()));
    assert_eq!(is_led().await, None, "its lock is not shown, held or not");
    fake.state().acls = false;
    client.release_lock(&namespace, &path::lock(&tree), &lock.id).await.unwrap();
    assert_eq!(is_led().await, Some(false));
}
