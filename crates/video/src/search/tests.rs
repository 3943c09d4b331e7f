//! Search on small catalogues, over a real index in a temporary folder.
#![allow(clippy::unwrap_used)]

mod following;

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::api::video::{CommentPolicy, Privacy, VideoState};
use proto::events::VideoProfile;
use proto::{ChannelId, Timestamp, UserId, VideoId};

use super::generation::Progress;
use super::indexer::Indexer;
use super::schema::VERSION;
use super::*;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const DAY_MS: i64 = 86_400_000;
const WRITER_BYTES: usize = 15_000_000;

/// A video with this title; the rest is filled in.
pub(super) fn video(title: &str) -> Document {
    Document {
        profile: VideoProfile {
            id: VideoId::generate(),
            owner: UserId::from_bytes([1; 16]),
            channel: ChannelId::from_bytes([2; 16]),
            title: title.to_owned(),
            privacy: Privacy::Public,
            state: VideoState::Published,
            comment_policy: CommentPolicy::Open,
            duration: 60.0,
            published_at: Some(NOW.plus_ms(-30 * DAY_MS)),
            thumbnail_url: None,
        },
        description: String::new(),
        tags: Vec::new(),
        category: String::new(),
        language: String::new(),
        channel_name: "Ada's films".to_owned(),
        channel_handle: "ada".to_owned(),
        views: 0,
        likes: 0,
        dislikes: 0,
    }
}

struct Catalogue {
    search: Search,
    videos: BTreeMap<VideoId, Document>,
    folder: tempfile::TempDir,
}

const PROGRESS: Progress = Progress { version: VERSION, epoch: 1, sequence: 1, complete: true };

impl Catalogue {
    fn of(videos: impl IntoIterator<Item = Document>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let search = Search::open(folder.path(), WRITER_BYTES).unwrap();
        let videos: BTreeMap<VideoId, Document> = videos.into_iter().map(|video| (video.profile.id, video)).collect();
        let mut indexer = Indexer::new(search.current(), WRITER_BYTES);
        for video in videos.values() {
            indexer.put(video).unwrap();
        }
        indexer.commit(PROGRESS).unwrap();
        indexer.rest().unwrap();
        Self { search, videos, folder }
    }

    fn titled(titles: &[&str]) -> Self {
        Self::of(titles.iter().map(|title| video(title)))
    }

    fn standing(&self, id: VideoId) -> Option<Standing> {
        let video = self.videos.get(&id)?;
        let listed = video.profile.listed_for(None);
        listed.then_some(Standing { views: video.views, published_at: video.profile.published_at, subscribed: false })
    }

    fn titles(&self, ids: &[VideoId]) -> Vec<&str> {
        ids.iter().map(|id| self.videos[id].profile.title.as_str()).collect()
    }

    fn find(&self, query: &str) -> Vec<&str> {
        self.sorted(query, &Filters::default(), Sort::Relevance)
    }

    fn sorted(&self, query: &str, filters: &Filters, sort: Sort) -> Vec<&str> {
        let found = self.search.find(query, filters, sort, |id| self.standing(id), NOW).unwrap();
        self.titles(&found)
    }
}

#[test]
fn a_query_with_an_error_in_each_word_finds_its_video_first() {
    let catalogue = Catalogue::titled(&[
        "Meadow flowers",
        "Rabbit in the meadow",
        "Rapid medal: how it was won",
        "The habit of walking",
        "Rabbits and other pets",
        "A wide meadow, and far away a small rabbit",
    ]);
    let found = catalogue.find("rabit medow");
    assert_eq!(found[0], "Rabbit in the meadow");
    assert_eq!(found[1], "A wide meadow, and far away a small rabbit", "{found:?}");
    assert!(found.contains(&"Rabbits and other pets"), "an error and another form at once: {found:?}");
    assert_eq!(catalogue.find("rabbit meadow")[0], "Rabbit in the meadow");
    assert_eq!(catalogue.find("medow rabit")[0], "Rabbit in the meadow", "also in another order");
}

#[test]
fn typing_errors_are_forgiven_in_english() {
    let catalogue =
        Catalogue::titled(&["Big Buck Bunny", "Elephants Dream", "Tears of Steel", "Cosmos Laundromat", "Sintel"]);
    for (query, title) in [
        ("elefants", "Elephants Dream"),
        ("elphants draem", "Elephants Dream"),
        ("big buk buny", "Big Buck Bunny"),
        ("tears of stele", "Tears of Steel"),
        ("cosmoss laundramat", "Cosmos Laundromat"),
        ("cosmos landromta", "Cosmos Laundromat"),
        ("sintle", "Sintel"),
        ("elephant", "Elephants Dream"),
        ("dreaming elephants", "Elephants Dream"),
        ("laundro", "Cosmos Laundromat"),
        ("BIG  BÜCK   bunny!", "Big Buck Bunny"),
    ] {
        assert_eq!(catalogue.find(query).first(), Some(&title), "{query}");
    }
}

#[test]
fn typing_errors_are_forgiven_in_german() {
    let mut films =
        ["Das Kaninchen auf der Wiese", "Häuser bauen für Anfänger", "Straßenbahn in München", "Müllers Mühle"]
            .map(video);
    films.iter_mut().for_each(|film| film.language = "de-DE".to_owned());
    let catalogue = Catalogue::of(films);
    for (query, title) in [
        ("kanninchen wise", "Das Kaninchen auf der Wiese"),
        ("kanichen", "Das Kaninchen auf der Wiese"),
        ("hauser bauen", "Häuser bauen für Anfänger"),
        ("haus", "Häuser bauen für Anfänger"),
        ("strassenbahn", "Straßenbahn in München"),
        ("Straßnebahn Munchen", "Straßenbahn in München"),
        ("muller muhle", "Müllers Mühle"),
        ("Strassen bahn", "Straßenbahn in München"),
    ] {
        assert_eq!(catalogue.find(query).first(), Some(&title), "{query}");
    }
}

#[test]
fn short_words_and_first_letters_are_not_guessed() {
    let catalogue = Catalogue::titled(&["Cat on a mat", "Book of songs", "Year 2024 in review"]);
    assert!(catalogue.find("bat").is_empty());
    assert!(catalogue.find("cook").is_empty());
    assert!(catalogue.find("2023").is_empty(), "numbers are meant as typed");
    assert_eq!(catalogue.find("2024"), ["Year 2024 in review"]);
}

#[test]
fn nonsense_finds_nothing() {
    let catalogue = Catalogue::titled(&["Rabbit in the meadow", "Big Buck Bunny", "Sintel"]);
    for query in ["qwxzvk", "xylophone zebra quartz", "the", "asdf jkl"] {
        assert!(catalogue.find(query).is_empty() || query == "the", "{query}");
    }
}

#[test]
fn all_words_come_before_most_words() {
    let catalogue = Catalogue::titled(&["Rabbit", "Rabbit, carrot, meadow and fox", "Rabbit carrot", "Fox"]);
    let found = catalogue.find("rabbit carrot fox");
    assert_eq!(&found[..2], ["Rabbit, carrot, meadow and fox", "Rabbit carrot"]);
    assert!(!found.contains(&"Fox"), "one of three words is not enough: {found:?}");
}

#[test]
fn words_joined_and_split_are_found() {
    let catalogue = Catalogue::titled(&["The dark knight", "Skyscraper views", "Night sky", "Knight school"]);
    assert_eq!(catalogue.find("darkknight").first(), Some(&"The dark knight"));
    assert_eq!(catalogue.find("sky scraper").first(), Some(&"Skyscraper views"));
}

#[test]
fn the_last_word_may_be_unfinished_only_while_it_is_typed() {
    let catalogue = Catalogue::titled(&["Photosynthesis explained", "Photography basics"]);
    assert_eq!(catalogue.find("photos"), ["Photosynthesis explained"]);
    assert!(catalogue.find("photos ").is_empty());
    assert_eq!(catalogue.find("fotosyn").len(), 0, "two errors in seven letters are too many");
    assert_eq!(catalogue.find("phtosynth").first(), Some(&"Photosynthesis explained"));
}

#[test]
fn titles_come_before_tags_and_tags_before_descriptions() {
    let mut tagged = video("Animals");
    tagged.tags = vec!["rabbit".to_owned()];
    let mut described = video("Outdoors");
    described.description = "We saw a rabbit there.".to_owned();
    let mut channel = video("Intro");
    (channel.channel_name, channel.channel_handle) = ("Rabbit TV".to_owned(), "rabbit-tv".to_owned());
    let catalogue = Catalogue::of([described, channel, tagged, video("Rabbit run")]);
    let found = catalogue.find("rabbit");
    assert_eq!(found.len(), 4);
    assert_eq!((found[0], found[3]), ("Rabbit run", "Outdoors"));
}

#[test]
fn popularity_and_freshness_decide_between_equals() {
    let (mut popular, mut fresh) = (video("Rabbit run"), video("Rabbit run"));
    popular.views = 10_000;
    popular.profile.duration = 61.0;
    fresh.profile.published_at = Some(NOW);
    let plain = video("Rabbit run");
    let ids = [popular.profile.id, fresh.profile.id, plain.profile.id];
    let catalogue = Catalogue::of([plain, fresh, popular]);
    let search = &catalogue.search;
    let found = search.find("rabbit", &Filters::default(), Sort::Relevance, |id| catalogue.standing(id), NOW).unwrap();
    assert_eq!(found, ids);
}

#[test]
fn filters_and_sorts_narrow_and_order() {
    let mut films: Vec<Document> = (1..=4).map(|_| video("Rabbit")).collect();
    for (at, film) in (1_i64..).zip(&mut films) {
        film.profile.title = format!("Rabbit {at}");
        film.profile.duration = at as f64 * 300.0;
        film.profile.published_at = Some(NOW.plus_ms(-at * DAY_MS));
        film.views = [5, 50, 1, 10][usize::try_from(at - 1).unwrap()];
    }
    films[0].category = "science".to_owned();
    films[1].language = "de-AT".to_owned();
    films[2].channel_handle = "grace".to_owned();
    let catalogue = Catalogue::of(films);
    let with = |filters: Filters| catalogue.sorted("rabbit", &filters, Sort::New);
    assert_eq!(with(Filters::default()), ["Rabbit 1", "Rabbit 2", "Rabbit 3", "Rabbit 4"]);
    assert_eq!(with(Filters { category: Some("science".to_owned()), ..Filters::default() }), ["Rabbit 1"]);
    assert_eq!(with(Filters { language: Some("de".to_owned()), ..Filters::default() }), ["Rabbit 2"]);
    assert_eq!(with(Filters { channel: Some("grace".to_owned()), ..Filters::default() }), ["Rabbit 3"]);
    assert!(with(Filters { channel: Some("nobody".to_owned()), ..Filters::default() }).is_empty());
    let long = Filters { duration_from_ms: 600_000, duration_until_ms: Some(1_200_000), ..Filters::default() };
    assert_eq!(with(long), ["Rabbit 2", "Rabbit 3"]);
    let recent = Filters { published_from: Some(NOW.plus_ms(-2 * DAY_MS)), ..Filters::default() };
    assert_eq!(with(recent), ["Rabbit 1", "Rabbit 2"]);
    assert_eq!(catalogue.sorted("rabbit", &Filters::default(), Sort::Popular)[0], "Rabbit 2");
    assert_eq!(catalogue.sorted("rabbit", &Filters::default(), Sort::Old)[0], "Rabbit 4");
}

#[test]
fn what_the_caller_may_not_see_takes_no_place() {
    let mut films: Vec<Document> = (0..600).map(|at| video(&format!("Rabbit {at}"))).collect();
    films.iter_mut().take(550).for_each(|film| film.profile.privacy = Privacy::Private);
    let catalogue = Catalogue::of(films);
    assert_eq!(catalogue.find("rabbit").len(), 50);
}

#[test]
fn cjk_and_emoji_are_found() {
    let catalogue =
        Catalogue::titled(&["夜の東京タワー", "京都の黒猫", "🐱 and friends", "한국어 강의", "Кошки и собаки"]);
    assert_eq!(catalogue.find("東京"), ["夜の東京タワー"]);
    assert_eq!(catalogue.find("猫"), ["京都の黒猫"]);
    assert_eq!(catalogue.find("🐱"), ["🐱 and friends"]);
    assert_eq!(catalogue.find("한국어").first(), Some(&"한국어 강의"));
    assert_eq!(catalogue.find("кошка").first(), Some(&"Кошки и собаки"));
}

#[test]
fn hostile_queries_do_no_harm() {
    let catalogue = Catalogue::titled(&["Rabbit in the meadow"]);
    let long = "x".repeat(10_000);
    let many = "rabbit ".repeat(1_500);
    let zalgo = "r\u{301}\u{302}\u{303}abbit".repeat(500);
    for query in [
        "\"\"\"\"",
        "''",
        "\0\u{1}\u{2}",
        "\u{1}rabbit",
        "\u{2}",
        "((([[[",
        "a:b AND (c",
        "*",
        "%00",
        "\u{202e}",
        "",
        " ",
        &long,
        &zalgo,
    ] {
        let found = catalogue.find(query);
        assert!(found.is_empty() || query == "\u{1}rabbit", "{query:?}: {found:?}");
    }
    assert_eq!(catalogue.find(&many), ["Rabbit in the meadow"]);
}

#[test]
fn highlights_show_the_misspelt_word() {
    let mut film = video("Rabbit in the meadow");
    film.description = "Two rabbits, one meadow.".to_owned();
    let id = film.profile.id;
    let catalogue = Catalogue::of([film]);
    let wanted = catalogue.search.wanted("rabit medow").unwrap();
    let highlights = catalogue.search.highlights(&wanted, id).unwrap();
    assert_eq!(highlights[0].field, "title");
    assert_eq!(highlights[0].ranges, [(0, 6), (14, 20)]);
    assert_eq!(highlights[1].field, "description");
    assert_eq!(highlights[1].ranges, [(4, 11), (17, 23)]);
}

#[test]
fn suggestions_are_titles_that_go_on_with_what_was_typed() {
    let mut described = video("Outdoors");
    described.description = "rabbit".to_owned();
    let catalogue =
        Catalogue::of([video("Rabbit in the meadow"), video("Radio"), video("RABBIT in the meadow"), described]);
    let complete = |text: &str| {
        let ids = catalogue.search.complete(text, |id| catalogue.standing(id), NOW).unwrap();
        suggestions(catalogue.titles(&ids))
    };
    assert_eq!(complete("rab").len(), 1, "{:?}", complete("rab"));
    assert_eq!(complete("r").len(), 2);
    assert_eq!(complete("rabbit mea").len(), 1);
    assert!(complete("xyz").is_empty());
}

#[test]
fn changes_and_removals_replace_what_was_known() {
    let mut film = video("Rabbit");
    let id = film.profile.id;
    let catalogue = Catalogue::of([film.clone()]);
    let mut indexer = Indexer::new(catalogue.search.current(), WRITER_BYTES);
    film.profile.title = "Squirrel".to_owned();
    indexer.put(&film).unwrap();
    indexer.commit(PROGRESS).unwrap();
    assert!(catalogue.find("rabbit").is_empty());
    assert_eq!(catalogue.find("squirrel").len(), 1);
    assert_eq!(indexer.videos_of(film.profile.channel).unwrap(), [id]);
    indexer.remove(id).unwrap();
    indexer.commit(PROGRESS).unwrap();
    assert!(catalogue.search.len() == 0);
}

#[test]
fn an_index_is_opened_again_and_a_damaged_one_is_not_used() {
    let catalogue = Catalogue::titled(&["Rabbit", "Squirrel"]);
    let path = catalogue.folder.path().to_owned();
    let again = Search::open(&path, WRITER_BYTES).unwrap();
    assert_eq!(again.len(), 2);
    assert_eq!(*lock(&again.0.opened_at), Some(PROGRESS));
    drop(again);
    let folder = path.join("0000000001");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let largest = files.max_by_key(|file| std::fs::metadata(file).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&largest, bytes).unwrap();
    match Generation::open(&path, 1).unwrap() {
        Opened::Usable(generation, _) => assert!(!generation.is_sound().unwrap(), "{}", largest.display()),
        Opened::Unusable(_) => {}
    }
    std::fs::write(folder.join("meta.json"), "{").unwrap();
    let without_meta = Search::open(&path, WRITER_BYTES).unwrap();
    assert!(without_meta.len() == 0 && lock(&without_meta.0.opened_at).is_none());
    assert_eq!(generation::numbers(&path).unwrap(), [2], "the damaged one is gone, a new one is begun");
}

#[test]
fn errors_of_the_disk_or_of_rights_are_no_damage() {
    let catalogue = Catalogue::titled(&["Rabbit"]);
    let path = catalogue.folder.path();
    let meta = path.join("0000000001/meta.json");
    std::fs::remove_file(&meta).unwrap();
    std::fs::create_dir(&meta).unwrap();
    assert!(Search::open(path, WRITER_BYTES).is_err(), "a folder in the place of a file: EISDIR");
    assert!(path.join("0000000001").is_dir(), "nothing was thrown away");
}

#[test]
#[ignore = "a measurement: cargo test --release -p video search::tests::speed -- --ignored --nocapture"]
#[allow(clippy::print_stdout)]
fn speed() {
    let nouns = ["rabbit", "meadow", "river", "mountain", "bicycle", "garden", "piano", "kitchen", "robot", "winter"];
    let verbs = ["building", "playing", "cooking", "riding", "painting", "repairing", "learning", "climbing"];
    let count = std::env::var("VIDEOS").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let films = (0..count).map(|at: usize| {
        let mut film =
            video(&format!("{} a {} with the {} {at}", verbs[at % 8], nouns[at % 10], nouns[(at / 10) % 10]));
        film.description = format!("A film about {} and {}. ", nouns[(at + 3) % 10], verbs[(at + 5) % 8]).repeat(5);
        film
    });
    let catalogue = Arc::new(Catalogue::of(films));
    let began = std::time::Instant::now();
    let rounds = 2_000;
    let mut hits = 0;
    for round in 0..rounds {
        let query = ["rabit medow", "bycicle repairng", "kitchn painting", "moutain clmbing winter"][round % 4];
        hits += catalogue.find(query).len();
    }
    let took = began.elapsed();
    println!("{count} videos: {:.0} searches a second, {hits} hits", f64::from(rounds as u32) / took.as_secs_f64());
}
