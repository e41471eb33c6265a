//! A process that asks for approvals and whoever gives them, in a Nomad of their own.

use crate::{
    cluster::{AllocId, Namespace, RunId, TreeName},
    nomad::{Cas, Client, Error, Token, fake::FakeNomad},
    record::{
        Asked, ask, asked, give,
        header::{Header, Term},
        path,
    },
};

struct World {
    client: Client,
    namespace: Namespace,
    tree: TreeName,
    _fake: FakeNomad,
}

impl World {
    fn new() -> Self {
        let fake = FakeNomad::start();
        let client = Client::new(fake.endpoint(), Token::new("t"));
        Self { client, namespace: "default".into(), tree: "default/shop".into(), _fake: fake }
    }

    /// What is given to the run that asks.
    async fn ask(
        &self,
        run: &str,
        open: &[&str],
        taken: &[&str],
    ) -> Result<Vec<(String, Option<String>)>, Error> {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (run, holder) = (RunId::from(run.to_owned()), AllocId::from("a1"));
        let given =
            ask(&self.client, &self.namespace, &self.tree, (&run, &holder), &list(open), &list(taken))
                .await?;
        Ok(given.into_iter().collect())
    }

    /// The head of the record says that `holder` carries out `run`.
    async fn is_led(&self, run: &str, holder: &str) {
        let header = Header {
            term: Term { epoch: 1, alloc: holder.into() },
            since: 1,
            run: Some((RunId::from(run.to_owned()), String::new())),
            n_chunks: 0,
        };
        let (items, path) = (header.write("default/shop"), path::header(&self.tree));
        self.client.put_variable(&self.namespace, &path, &items, Cas::Any).await.unwrap();
    }

    async fn asked(&self) -> Option<Asked> {
        asked(&self.client, &self.namespace, &self.tree).await.unwrap()
    }

    async fn give(&self, run: &str, name: &str) -> bool {
        let by = Some("kim".to_owned());
        give(&self.client, &self.namespace, &self.tree, run, name, by).await.unwrap()
    }
}

#[tokio::test]
async fn an_approval_stays_until_the_run_that_asked_knows_it() {
    let world = World::new();
    assert_eq!(world.asked().await, None);
    assert!(!world.give("1", "release").await, "nobody asks");
    assert_eq!(world.ask("1", &["release", "word"], &[]).await.unwrap(), []);
    assert!(!world.give("2", "release").await, "another run asks");
    assert!(!world.give("1", "relaese").await, "nobody asks for that");

    assert!(world.give("1", "release").await);
    let given = [("release".to_owned(), Some("kim".to_owned()))];
    for _ in 0..2 {
        assert_eq!(world.ask("1", &["release", "word"], &[]).await.unwrap(), given);
    }
    assert_eq!(world.ask("1", &["word"], &["release"]).await.unwrap(), []);
    world.is_led("1", "another").await;
    assert_eq!(world.asked().await, None, "whoever asked does not lead any more");
    world.is_led("1", "a1").await;
    let there = world.asked().await.unwrap();
    assert_eq!(
        (there.open, there.taken, there.holder),
        (vec!["word".to_owned()], vec!["release".to_owned()], "a1".to_owned())
    );
    assert!(there.given.is_empty());
}

#[tokio::test]
async fn an_approval_is_of_one_run() {
    let world = World::new();
    world.ask("1", &["release"], &[]).await.unwrap();
    assert!(world.give("1", "release").await);
    assert_eq!(world.ask("2", &["release"], &[]).await.unwrap(), []);
    assert!(!world.give("1", "release").await);
    assert!(world.give("2", "release").await);
}
