"""English words the cache and the routing look at: what opposes what, what is a number or a day, what says nothing.

Only stems are compared (`questions.stem`), so each word stands here in one form.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATIONS = _words("not no never without none nobody nothing neither nor except unless cannot unable")

NUMBERS = _words(
    """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million dozen couple half double
    twice third second fourth fifth sixth seventh eighth ninth tenth quarter
    """
)
"""`one` is left out: it mostly means "a thing"; `first` opposes `last` and `next` below."""

TIMES = _words(
    """
    monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays
    sundays january february march april june july august september october november december today tonight tomorrow
    yesterday weekend weekends weekday weekdays morning mornings afternoon afternoons evening evenings night nights
    noon midnight midday christmas easter thanksgiving halloween ramadan holiday holidays summer winter spring autumn
    fall week weeks weekly month months monthly year years yearly annual daily hourly
    """
)

BACK_REFERENCES = _words(
    """
    it its that this these those they them their he she him her his hers there then such same other another others
    else again instead also too either neither both former latter one ones so
    """
)
"""Words that point at something said before, unless a rule knows better."""

NOW = _words(
    "now today tonight tomorrow yesterday currently soon later next last already yet still recently ago just"
)
OWN = _words("i me my mine myself we us our ours ourselves")

_ACTIONS = """
    book reserve schedule order place make buy|cancel end terminate quit leave|change move modify edit reschedule
    switch|extend renew prolong|return|track follow|pay|dispute contest|upgrade|downgrade|exchange swap|replace|report
    |find|hide|share|pause freeze hold|unfreeze resume
"""
OPPOSITES: tuple[tuple[frozenset[str], ...], ...] = tuple(
    tuple(_words(kinds) for kinds in group.split("|"))
    for group in (
        "open opening|close closing shut",
        _ACTIONS,
        "activate enable start|deactivate disable stop",
        "block lock|unblock unlock",
        "turnon|turnoff",
        "buy purchase|sell|rent hire|repair fix mend|lend|borrow|store|donate|wash|charge|tow",
        "add|remove delete",
        "accept|reject refuse",
        "deposit|withdraw",
        "send|receive",
        "lose lost|found",
        "arrive arrival|leave departure depart",
        "checkin|checkout",
        "before|after|during",
        "from since|until till",
        "with|without",
        "early earlier earliest|late later latest",
        "first|last|next|previous|follow-up followup",
        "minimum least lowest cheapest smallest shortest|maximum most highest largest biggest longest",
        "nearest closest|farthest furthest",
        "cheap|expensive",
        "more|less fewer",
        "increase raise|decrease lower reduce",
        "delivery deliver|pickup collection collect takeaway",
        "indoor inside indoors|outdoor outside outdoors",
        "hot heated warm|cold cooled",
        "adult|child kid baby infant teenager student|senior pensioner",
        "man male men|woman female women",
        "boy son|girl daughter",
        "cat|dog",
        "car|bike bicycle|bus|train|plane|van|truck|motorbike motorcycle|boat|taxi",
        "breakfast|lunch|dinner supper|brunch",
        "vegetarian|vegan|glutenfree|halal|kosher|lactose",
        "credit creditcard|debit debitcard|prepaid",
        "cash|card|cheque check|voucher",
        "saving savings|checking|loan|mortgage",
        "domestic national|international abroad foreign",
        "incoming inbound|outgoing outbound",
        "landline telephone|mobile cell|online internet",
        "new|old used refurbished",
        "birth|death|marriage|divorce",
        "single|double|twin|suite",
        "public|private",
        "basic standard|premium unlimited deluxe",
        "upload|download",
        "print|scan|copy fax",
        "smoking|nonsmoking",
        "left|right",
        "up upstairs|down downstairs",
        "free|paid",
        "full|empty",
        "ground|basement",
        "wheelchair|stroller",
        "wine|beer|coffee|tea|water|food|drink",
        "doctor|nurse|dentist|pharmacy|hospital",
        "gift|greeting",
        "email|voicemail|phone|address|pin password",
        "wifi|tv|phone",
        "gym|pool|sauna|spa|restaurant|bar|kitchen|terrace|garden|lobby",
        "towel|locker|shower|toilet bathroom",
        "tyre tire|brake|oil|engine|battery|windscreen|dent",
        "book|magazine|film movie|ebook|audiobook|toy|money",
        "passport|licence license|permit|certificate|visa|ticket|fine",
        "marry|divorce",
        "seat|meal|luggage baggage|flight",
    )
)
"""Groups of kinds that exclude each other: two questions with different kinds of a group are different questions."""

CONCEPTS: dict[str, str] = {
    word: concept
    for concept, words in {
        "kid": "child children kids kid",
        "clothes": "clothing clothes",
        "parking": "park parking",
        "luggage": "luggage baggage bags",
        "plane": "plane aircraft",
        "near": "nearest closest nearby",
        "mobile": "mobile cell",
        "rubbish": "rubbish garbage trash",
        "shop": "shop store",
        "tyre": "tyre tire",
        "licence": "licence license",
        "cash machine": "atm",
        "need": "need must necessary should required require mandatory ought",
        "wed": "marry married wedding",
        "woman": "woman female women lady",
        "man": "man male men",
        "bike": "bike bicycle",
        "vehicle": "vehicle car",
        "wifi": "wifi wireless internet",
        "outside": "outside outdoor outdoors",
        "inside": "inside indoor indoors",
        "begin": "begin start",
        "end": "end finish",
        "fix": "fix repair mend",
        "abroad": "abroad internationally international overseas",
        "ship": "ship shipping deliver delivery",
        "allow": "allow permit permitted allowed",
        "bathroom": "bathroom toilet restroom",
        "booking": "booking reservation",
        "movie": "movie film",
        "physician": "doctor physician",
        "loan car": "courtesy",
    }.items()
    for word in words.split()
}
"""Words of one meaning."""

SILENT = _words(
    """
    a an the and or to of for in on at by with from into about as than be is are am was were been being do does did
    done have has had can could may might will would shall i you we me my your our us yours mine mean get got give
    gives offer provide provides take accept want like love any some there here it its if whether who what when where
    why how which whose whom long much many far often very really actually exactly currently right moment also too
    just even please thank thanks possible okay ok fine kind sort type way ways somewhere anywhere someone anyone
    anybody something anything thing things place available exist allow allowed permitted let use using used when
    know tell ask say information info please sir madam guys people customer guest per each that this so such up
    one let able go come happen see look hold run work works working time day hour hours o clock basically maybe
    along once
    """
)
"""Words that do not make a question another one by themselves. `with` and `from` oppose others above."""
