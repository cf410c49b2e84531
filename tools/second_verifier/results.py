"""The derived files: docs/formats.md, sections 9 (README.md, index.json) and 12 (results)."""

import datetime
from pathlib import Path

from definition import FORBIDDEN
from leaves import pretty

TEMPLATE = (Path(__file__).parent / "readme_template.md").read_text(encoding="utf-8")
STATES_FR = {
    "draft": "en préparation", "open": "ouvert", "closing": "en cours de fermeture",
    "closed": "fermé", "certified": "résultat certifié", "annulled": "annulé"}
NIST_STATUS = {
    "draft": ("pre-election", "not-processed"),
    "open": ("unofficial-partial", "in-process"),
    "closing": ("unofficial-partial", "in-process"),
    "closed": ("unofficial-complete", "completed"),
    "certified": ("certified", "completed"),
    "annulled": ("correction", "completed")}
REPORT = ("received", "accepted", "duplicate", "invalid", "replayed")


# `facts` is a dictionary: `definition`, `state`, `opened`, `closed`, `registered`, `report`,
# `values` (one a choice, then the spoiled votes), `size`, `root` (hexadecimal) and `updated_at`.


def time(minute):
    """RFC 3339 of a unix minute; None for None."""
    if minute is None:
        return None
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(minutes=minute)
    return moment.strftime(f"{moment.year:04}-%m-%dT%H:%M:00Z")


def turnout(facts):
    """In basis points, and as text in percent with two decimals."""
    registered = facts["registered"]
    points = 10_000 * facts["report"]["accepted"] // registered if registered else 0
    return points, f"{points // 100}.{points % 100:02}"


def counted(facts):
    """Each choice with its count, in order, and the spoiled votes."""
    choices = facts["definition"]["choices"]
    return list(zip(choices, facts["values"])), facts["values"][len(choices)]


def results_json(facts):
    """The bytes of results.json."""
    definition, choices = facts["definition"], counted(facts)[0]
    state = facts["state"]
    points, percent = turnout(facts)
    value = {
        "format": "votekit-results/1",
        "law_id": definition["law_id"],
        "title": definition["title"],
        "binding": definition["binding"],
        "state": "closed" if state in ("certified", "annulled") else state,
        "opened": time(facts["opened"]),
        "closed": time(facts["closed"]),
        "registered": facts["registered"],
        **{key: facts["report"][key] for key in REPORT},
        "choices": [
            {"id": choice["id"], "fr": choice["fr"], "en": choice["en"], "count": count}
            for choice, count in choices],
        "spoiled": counted(facts)[1],
    }
    by_id = {choice["id"]: count for choice, count in choices}
    for key, identifier in (("oui_count", "oui"), ("non_count", "non"), ("blank_count", "blanc")):
        if identifier in by_id:
            value[key] = by_id[identifier]
    value |= {
        "total_votes": sum(facts["values"]),
        "turnout": percent,
        "turnout_basis_points": points,
        "log": {"size": facts["size"], "root": facts["root"]},
        "updated_at": time(facts["updated_at"]),
    }
    return pretty(value)


def _csv_field(value, guarded):
    text = str(value)
    if guarded and text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        text = "'" + text
    if any(c in text for c in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text


def results_csv(facts):
    """The bytes of results.csv."""
    choices, spoiled = counted(facts)
    report = facts["report"]
    rows = [("choice", c["id"], c["fr"], c["en"], count) for c, count in choices]
    rows += [
        ("spoiled", "spoiled", "Votes illisibles", "Spoiled votes", spoiled),
        ("total", "total_votes", "Total des votes", "Total votes", sum(facts["values"])),
        ("total", "registered", "Électeurs inscrits", "Registered electors", facts["registered"]),
        ("total", "received", "Envois reçus", "Envelopes received", report["received"]),
        ("total", "accepted", "Votes acceptés", "Votes accepted", report["accepted"]),
        ("total", "duplicate", "Votes en double", "Duplicate votes", report["duplicate"]),
        ("total", "invalid", "Votes invalides", "Invalid votes", report["invalid"]),
        ("total", "replayed", "Envois répétés", "Envelopes replayed", report["replayed"]),
        ("total", "turnout_percent", "Taux de participation", "Turnout", turnout(facts)[1]),
    ]
    lines = ["law_id,kind,id,label_fr,label_en,count"]
    law_id = facts["definition"]["law_id"]
    for kind, identifier, fr, en, count in rows:
        texts = [_csv_field(text, True) for text in (law_id, kind, identifier, fr, en)]
        lines.append(",".join([*texts, _csv_field(count, False)]))
    return "".join(line + "\r\n" for line in lines).encode()


# NIST SP 1500-100 version 2.

ELECTORATE = "gp-electorate"


def _nist(kind, **members):
    """An object of a class: `id` is `@id` and stands first; a member that is None is left out."""
    identifier = members.pop("id", None)
    head = {"@id": identifier} if identifier else {}
    body = {key: value for key, value in members.items() if value is not None}
    return {**head, "@type": f"ElectionResults.{kind}", **body}


def _text(both):
    return _nist("InternationalizedText", Text=[
        _nist("LanguageString", Content=both[language], Language=language)
        for language in ("fr", "en")])


def _external(kind, value):
    return _nist("ExternalIdentifier", OtherType=kind, Type="other", Value=value)


def _contest(facts, status, is_referendum):
    definition = facts["definition"]
    choices, spoiled = counted(facts)
    selections = [
        _nist(
            "BallotMeasureSelection", id=f"choice-{choice['id']}", Selection=_text(choice),
            SequenceOrder=order, VoteCounts=[
                _nist("VoteCounts", Count=count, GpUnitId=ELECTORATE, Type="total")])
        for order, (choice, count) in enumerate(choices, 1)]
    description = definition["description"]
    return _nist(
        "BallotMeasureContest", id="contest", BallotTitle=_text(definition["title"]),
        ContestSelection=selections, CountStatus=[status], ElectionDistrictId=ELECTORATE,
        FullText=_text(description) if description["fr"] and description["en"] else None,
        Name=definition["law_id"],
        OtherCounts=[
            _nist("OtherCounts", GpUnitId=ELECTORATE, Overvotes=0, Undervotes=spoiled)],
        OtherType=None if is_referendum else "choice",
        Type="referendum" if is_referendum else "other", VoteVariation="plurality")


def results_nist(facts):
    """The bytes of results.nist.json."""
    definition, report = facts["definition"], facts["report"]
    report_status, count_status = NIST_STATUS[facts["state"]]
    status = _nist("CountStatus", Status=count_status, Type="total")
    is_referendum = {"oui", "non"} <= {choice["id"] for choice in definition["choices"]}
    updated = facts["updated_at"]

    def first(*minutes):
        return next(minute for minute in minutes if minute is not None)

    start = first(facts["opened"], definition["opens"], updated)
    end = max(start, first(facts["closed"], definition["closes"], updated))
    unit = _nist(
        "ReportingUnit", id=ELECTORATE,
        Name=_text({"fr": "Ensemble des électeurs inscrits", "en": "All registered electors"}),
        OtherType="electorate", Type="other", VotersParticipated=report["accepted"],
        VotersRegistered=facts["registered"])
    election = _nist(
        "Election",
        BallotCounts=[_nist(
            "BallotCounts", BallotsCast=report["accepted"],
            BallotsRejected=report["duplicate"] + report["invalid"], GpUnitId=ELECTORATE,
            Type="total")],
        Contest=[_contest(facts, status, is_referendum)], CountStatus=[status],
        ElectionScopeId=ELECTORATE, EndDate=time(end)[:10],
        ExternalIdentifier=[_external("law-id", definition["law_id"])],
        Name=_text(definition["title"]), OtherType="referendum" if is_referendum else "vote",
        StartDate=time(start)[:10], Type="other")
    binding = definition["binding"]
    return pretty(_nist(
        "ElectionReport", Election=[election],
        ExternalIdentifier=[
            _external("log-size", str(facts["size"])), _external("log-root", facts["root"])],
        Format="summary-contest", GeneratedDate=time(updated), GpUnit=[unit], IsTest=not binding,
        Issuer="votekit", IssuerAbbreviation="votekit", SequenceEnd=1, SequenceStart=1,
        Status=report_status,
        TestType=None if binding else "consultation or test: nothing binding is decided",
        VendorApplicationId="votekit"))


# README.md and index.json.


def _escaped(title):
    out = []
    for c in title:
        if c == "<":
            out.append("&lt;")
        elif c == "&":
            out.append("&amp;")
        elif c in "\\`*_[]#|":
            out.append("\\" + c)
        else:
            out.append(" " if c in FORBIDDEN else c)
    return "".join(out)


def readme(definition, state, registered, leaves, with_results):
    """The bytes of README.md; `leaves` is their number."""
    binding = definition["binding"]
    fields = {
        "title_fr": _escaped(definition["title"]["fr"]),
        "title_en": _escaped(definition["title"]["en"]),
        "law_id": definition["law_id"],
        "nature_fr": "vote exécutoire" if binding
        else "essai ou consultation, sans effet exécutoire",
        "nature_en": "binding" if binding else "a test or a consultation, not binding",
        "state_fr": STATES_FR[state],
        "state_en": state,
        "registered": registered,
        "leaves": leaves,
    }
    lines = TEMPLATE.split("\n")
    if not with_results:
        lines = [line for line in lines if not line.startswith("| `results.json`")]
    return "\n".join(line.format_map(fields) if "{" in line else line for line in lines).encode()


def index(law_id, files):
    """The bytes of index.json. `files` maps the name of every other file to its size and its
    SHA-256 in hexadecimal."""
    rows = [
        {"file": name, "size": files[name][0], "sha256": files[name][1]}
        for name in sorted(files, key=lambda name: name.encode("utf-8", "surrogateescape"))]
    return pretty({"format": "votekit-bundle/1", "law_id": law_id, "files": rows})
