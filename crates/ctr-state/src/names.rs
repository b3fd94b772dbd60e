//! Names for containers that were given none: an adjective and the name of a river, a star or a bird.

use crate::ContainerName;

/// A name such as `quiet_heron`. `seed` gives one random number at a call; only a few are asked for.
///
/// Names are not unique: whoever creates the container asks again when the store answers that one is in use.
pub fn generate(mut seed: impl FnMut() -> u32) -> ContainerName {
    ContainerName::of_words(pick(ADJECTIVES, seed()), pick(NOUNS, seed()))
}

fn pick(words: &'static str, seed: u32) -> &'static str {
    let all: Vec<&str> = words.split_ascii_whitespace().collect();
    all[seed as usize % all.len()]
}

const ADJECTIVES: &str = "
    able agile alert amber ample aware azure balmy bold brave breezy bright brisk calm candid careful
    cheerful civil clear clever cosy crisp curious dapper daring eager early easy elegant even fair faithful
    fancy fearless fine fleet fond frank free fresh friendly gentle glad golden graceful grand happy hardy
    hearty honest humble jolly keen kind level light lively loyal lucid lucky mellow merry mild modest
    neat nimble noble patient placid plain polite proud prudent quick quiet ready rosy serene sharp silver
    sincere smooth snug sober solid spry steady sturdy sunny swift tidy tranquil upbeat vivid warm wise witty
";

const NOUNS: &str = "
    aare adige adonara albireo alcor aldebaran algol allier altair amazon amur antares ara arcturus ardeche
    arno atria avocet avon bellatrix bittern bluebird bobolink bunting bustard buzzard canopus capella
    cardinal castor cauvery chaffinch chenab colorado condor congo coot cormorant crane curlew danube deneb
    dipper dnieper don dordogne douro dove drava dunlin ebro egret eider elbe electra euphrates falcon
    finch flamingo fomalhaut fulmar gambia gannet ganges garonne godwit goldfinch goshawk grebe grouse
    guillemot gull hadar hamal harrier hawk heron hobby hoopoe humber ibis indus irtysh isar jackdaw jordan
    kestrel kingfisher kite kittiwake kochab lapwing lark lena limpopo linnet loire maas mackenzie magpie
    mallard martin meissa mekong merlin meuse mira mirfak mizar moselle murray neckar neva niger nightjar
    nile nuthatch oder orinoco oriole osprey ouzel parana peregrine petrel pigeon pipit plover po pollux
    procyon ptarmigan puffin quail rail raven redstart regulus rhine rhone rigel robin rook ruff sava
    savannah scheldt seine severn shannon shrike sirius siskin skua skylark snipe somme spica spree starling
    stork swan swift tagus tarn teal tern thames thrush tiber tigris towhee treecreeper tweed ural vega
    vistula vltava volga volta wagtail warbler waxwing weser wheatear whimbrel wigeon wren yangtze yukon zambezi
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_makes_a_name_and_stands_once() {
        for words in [ADJECTIVES, NOUNS] {
            let all: Vec<&str> = words.split_ascii_whitespace().collect();
            let distinct: BTreeSet<&str> = all.iter().copied().collect();
            assert_eq!(all.len(), distinct.len());
            for word in all {
                assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
            }
        }
        assert!(ADJECTIVES.split_ascii_whitespace().count() >= 90);
        assert!(NOUNS.split_ascii_whitespace().count() >= 150);
    }

    #[test]
    fn the_seed_decides() {
        let mut numbers = [0, u32::MAX].into_iter();
        let name = generate(|| numbers.next().unwrap());
        assert!(name.as_str().starts_with("able_"), "{name}");
        assert_eq!(name.as_str().parse::<ContainerName>().unwrap(), name);
        assert_eq!(generate(|| 7), generate(|| 7));
    }
}
