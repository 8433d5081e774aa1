"""The bodies of requests and answers, as the description of the service (OpenAPI) has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from recurra.service import limits as most


def _as_in_a_file(value: JsonValue) -> JsonValue:
    """A field that a file could hold. Refuses half of a surrogate pair; how large a value may be, its kind says."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            try:
                one.encode("utf-8")
            except UnicodeEncodeError:
                raise ValueError("a \\u escape is half of a surrogate pair, which is no character.") from None
    return value


def _whole(value: object) -> object:
    """5.0 is a whole number to JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Behind the bounds, so that they stay in the description.
WHOLE = BeforeValidator(_whole)
Text = Annotated[str, Field(max_length=most.LONGEST_TEXT)]
Value = Annotated[JsonValue, AfterValidator(_as_in_a_file)]
Name = Annotated[str, Field(max_length=most.LONGEST_NAME, description="a run; may be left out where one is served")]


Version = Annotated[str, Field(description="of the run's files: the first digits of their SHA-256")]


class Body(BaseModel):
    """What is unknown is refused, and nothing is converted: "5" is no number."""

    model_config = ConfigDict(strict=True, extra="forbid")


class PredictOptions(Body):
    """How to answer, as the run's task has it; what it does not have is refused."""

    beam: Annotated[
        int,
        Field(ge=1, le=most.WIDEST_BEAM, description="hypotheses of a translation, texts of a sound; 1 is greedy"),
        WHOLE,
    ] = 1
    n_best: Annotated[
        int,
        Field(
            ge=1,
            le=most.WIDEST_BEAM,
            description="answers of a translation or to a question, or pieces for a [MASK], best first",
        ),
        WHOLE,
    ] = 1
    hot_words: (
        Annotated[
            dict[
                Annotated[str, Field(min_length=1, max_length=most.LONGEST_NAME)],
                Annotated[float, Field(gt=0, le=most.HOTTEST_WORD)],
            ],
            Field(max_length=most.MOST_HOT, description="nats that words of speech are worth beside a beam"),
        ]
        | None
    ) = None
    attention: Annotated[bool, Field(description="what each token of the answer looked at")] = False
    tokens: Annotated[bool, Field(description="how probable a language model finds each token")] = False
    join: Annotated[bool, Field(description="put tokenised answers of a translation together")] = False


def _one_of_two(schema: dict[str, Any]) -> None:
    """Say in the description that one of the two must be there."""
    names = ("texts", "records")
    schema["oneOf"] = [{"required": [name], "properties": {name: {"type": "array"}}} for name in names]


class PredictRequest(Body):
    """Texts, or rows as a data file has them; one of the two."""

    model_config = ConfigDict(json_schema_extra=_one_of_two)

    model: Name | None = None
    texts: (
        Annotated[
            list[Annotated[str, Field(max_length=most.LONGEST_CELL)]],
            Field(
                min_length=1,
                max_length=most.MOST_RECORDS,
                description=f"the first field that a run reads; a text has at most {most.LONGEST_TEXT:,} characters",
            ),
        ]
        | None
    ) = None
    records: (
        Annotated[
            list[dict[Annotated[str, Field(max_length=most.LONGEST_NAME)], Value]],
            Field(min_length=1, max_length=most.MOST_RECORDS, description="named fields, as a row of a file"),
        ]
        | None
    ) = None
    options: Annotated[PredictOptions, Field(default_factory=PredictOptions)]


class Predictions(BaseModel):
    """One answer for each text or row, in order."""

    model: str
    version: Version
    task: str
    predictions: Annotated[list[dict[str, Any]], Field(description="label and probabilities, output, spans, ...")]
    notes: Annotated[list[str], Field(description="what one should know of these answers")]


class GenerateOptions(Body):
    """How a language model writes; a translation has none of these."""

    length: Annotated[int, Field(ge=1, le=most.MOST_TOKENS, description="tokens, at most"), WHOLE] = 200
    temperature: Annotated[float, Field(ge=0, le=most.HOTTEST, description="0 takes the most probable token")] = 1.0
    top_k: Annotated[int, Field(ge=1, le=most.LARGEST_TOP_K, description="draw from so many tokens"), WHOLE] | None = (
        None
    )
    top_p: Annotated[float, Field(gt=0, le=1, description="draw from tokens of this probability")] | None = None
    seed: Annotated[int, Field(ge=0, le=most.LARGEST_SEED, description="the same one, the same text"), WHOLE] = 0
    stop: Annotated[Text, Field(min_length=1, max_length=most.LONGEST_STOP, description="end before it")] | None = None


class GenerateRequest(Body):
    """A text to go on from, or to translate token by token."""

    model: Name | None = None
    text: Text
    options: Annotated[GenerateOptions, Field(default_factory=GenerateOptions)]


class Event(BaseModel):
    """One server-sent event. data: JSON; of `token` a `piece` or a `text`, of `done` the whole, of `error` a refusal"""

    event: Literal["token", "done", "error"]
    data: Annotated[str, Field(json_schema_extra={"contentMediaType": "application/json"})]


class SuggestRequest(Body):
    """A text at whose end somebody types."""

    model: Name | None = None
    text: Text
    number: Annotated[int, Field(ge=1, le=most.MOST_SUGGESTIONS), WHOLE] = 5


class Suggested(BaseModel):
    """A word that the last one may become, or that may follow."""

    word: str
    probability: float


class Suggestions(BaseModel):
    """The most probable words, best first."""

    model: str
    suggestions: list[Suggested]


class SimilarRequest(Body):
    """Words whose neighbours are wanted, or three of an analogy."""

    model: Name | None = None
    words: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=most.LONGEST_NAME)]],
        Field(min_length=1, max_length=most.MOST_WORDS, description="of several, the mean of their vectors"),
    ]
    number: Annotated[int, Field(ge=1, le=most.MOST_NEIGHBOURS), WHOLE] = 10
    analogy: Annotated[bool, Field(description="three words: the first is to the second as the third is to what?")] = (
        False
    )


class Near(BaseModel):
    """A word, and the cosine of its vector with what was asked for."""

    word: str
    score: float


class Neighbours(BaseModel):
    """The nearest words, the nearest first."""

    model: str
    neighbours: list[Near]


class SessionRequest(Body):
    """Which run to feed."""

    model: Name | None = None


class Session(BaseModel):
    """A session: feed it at /sessions/{session}."""

    session: str
    model: str
    version: Version
    seconds: Annotated[float, Field(description="after which it is forgotten, unless it is fed")]


class PieceRequest(Body):
    """The next piece of the text."""

    text: Text


class Piece(BaseModel):
    """The answer for all of the text so far."""

    session: str
    prediction: dict[str, Any]


class Refused(BaseModel):
    """The last reload of a run, where it was refused."""

    at: str
    problems: list[str]


class Reload(BaseModel):
    """The end of a reload. outcome: `unchanged` where the files are those that were served already"""

    model: str
    version: Version
    outcome: Literal["loaded", "unchanged"]


class Described(BaseModel):
    """One run that is served."""

    name: str
    task: str
    answer: Annotated[
        str, Field(description="what it answers: label, text, tags, continuation, chords, forecast, numbers or span")
    ]
    input: Annotated[str, Field(description="the field of a record that holds the text")]
    kind: Annotated[str, Field(description="what that field holds: text, numbers, audio or image")]
    inputs: Annotated[list[str], Field(description="all fields of a record that are read, that one first")]
    parameters: Annotated[int, Field(description="numbers that were learned")]
    generates: bool
    suggests: bool
    similar: Annotated[bool, Field(description="whether it has a vector for each word (/similar)")]
    uses: Annotated[
        list[str], Field(description="of between, generate, inpaint, compress, detect, chat and search those it can do")
    ]
    options: Annotated[list[str], Field(description="options of /predict that it has")]
    sessions: Annotated[list[str], Field(description="why it cannot be fed piece by piece; empty where it can")]
    rate: Annotated[int | None, Field(description="samples a second of the sounds that it takes; null for none")]
    lm: Annotated[bool, Field(description="whether a language model stands beside a beam of speech")]
    hears: Annotated[
        list[str], Field(description="why it cannot hear a sound while it comes (/hear); empty where it can")
    ]
    report: Annotated[str | None, Field(description="where its report is")]
    examples: Annotated[list[str], Field(description="texts of its dev or test data, to try it with")]
    version: Version
    opened: Annotated[str, Field(description="when this version was read")]
    refused: Annotated[Refused | None, Field(description="why its last reload failed; null where it did not")]


class Models(BaseModel):
    """All runs, in the order of the command line."""

    models: list[Described]


class State(BaseModel):
    """How the service is."""

    status: Literal["ok", "stuck"]


class Refusal(BaseModel):
    """Why a request was not done."""

    error: Annotated[str, Field(description="the sentences, one a line")]
    problems: Annotated[list[str], Field(description="a sentence for each mistake")]
    request_id: Annotated[str, Field(description="under which the log has it")]
