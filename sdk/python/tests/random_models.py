"""Random types of pydantic, built of all that it has, and random bodies for them.

    python random_models.py SEED COUNT

writes a line for each type: the description of a service that takes it, and bodies with what pydantic says of each.
Tests of the SDK and of the server read it; the verdict does not come from the SDK.
"""

# ruff: noqa: E501, I001, UP006, UP014, UP035

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import pathlib
import random
import re
import sys
import types
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Callable, Dict, FrozenSet, Generic, List, Literal, NamedTuple, NewType, Optional
from typing import Set, Tuple, TypeVar, Union

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter
from pydantic import WrapValidator, create_model
from typing_extensions import TypeAliasType, TypedDict

warnings.simplefilter("ignore")


class Color(enum.Enum):
    RED = "red"
    GREEN = "Green"


class Shape(str, enum.Enum):
    ROUND = "round"
    BLUE = "edgy"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 20


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"
    HALF = 0.5


class Lenient(enum.Enum):
    YES = "yes"

    @classmethod
    def _missing_(cls, value):
        return cls.YES if isinstance(value, str) and value.lower() == "yes" else None


class Array:
    def __init__(self, items):
        self.items = list(items)


class Point:
    """A type with its own core schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(lambda value: value, handler(List[int]))


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    item: T


Word = NewType("Word", str)

SCALARS = [
    None, True, False, 0, 1, -1, 2, 3.0, 1.5, 20, 10**20, 1e30, 1e400, -0.0, 86400, "", "a", "abc", "ABC", " ab ", "5", " 5 ", "+1",
    "1_0", "1.0", "1.5", "nan", "inf", "-Infinity", "yes", "OFF", "true", "on", "x", "ä", "Größe", "12", "2024-02-29",
    "2024-01-02T03:04:05Z", "2024-01-02 03:04", "12:30", "12:30:10.5+01:00", "P1DT2H", "1 day, 00:00:10", "-P1D", "00:10", "1704067200",
    "123e4567-e89b-12d3-a456-426614174000", "{123e4567e89b12d3a456426614174000}", "red", "RED", "Green", "GREEN", "round",
    "ROUND", "edgy", "BLUE", "LOW", "HIGH", "two", "TWO", "ONE", "HALF", "YES", "Yes", "http://e.x/a", "mailto:a@b.c",
    "a,b", "1,2", "[1, 2]", "{}", '"a"', "1e3", "0x1", "١٢", "127.0.0.1", "10.0.0.0/8", "1/3", "1+2j", "\n5", "a\n", "ß", "cat", "dog",
]  # fmt: skip


def split(value):
    return value.split(",") if isinstance(value, str) else value


def swallow(value, handler):
    try:
        return handler(value)
    except ValueError:
        return handler(1) if value == "x" else handler(value)


def rename(value):
    if isinstance(value, dict) and "old" in value:
        return {**value, "a": value["old"]}
    return {"a": value} if isinstance(value, str) else value


def by_name(kind):
    """The form of an enum for the oracle: names count where values do not."""

    def read(value):
        try:
            if isinstance(value, str) and value in kind.__members__:
                TypeAdapter(kind).validate_python(value)
        except ValueError:
            return kind[value]
        return value

    return Annotated[kind, BeforeValidator(read)]


def literal_by_name(kind, member):
    return Annotated[Literal[member], BeforeValidator(lambda value: member if value == member.name else value)]


class Maker:
    """Makes types, and bodies that are likely to fit. Two makers of one seed differ only in `names`."""

    def __init__(self, seed, names):
        self.random, self.names, self.count = random.Random(seed), names, 0
        self.enums = [Color, Color, Shape, Level, Mixed, Lenient]

    def choose(self, *options):
        return self.random.choice(options)

    def maybe(self, chance=0.5):
        return self.random.random() < chance

    def type(self, depth):
        """A type, and a function that makes bodies for it with a random."""
        if depth <= 0 or self.maybe(0.25):
            return self.scalar()
        return self.choose(
            self.model, self.model, self.model, self.optional, self.union, self.tagged, self.list, self.dict, self.tuple,
            self.set, self.dataclass, self.typed_dict, self.named_tuple, self.validated, self.root, self.alias, self.box,
            self.recursive, self.json, self.custom,
        )(depth - 1)  # fmt: skip

    def scalar(self):
        return self.choose(
            self.number,
            self.number,
            self.text,
            self.text,
            self.word,
            self.when,
            self.enumeration,
            self.literal,
            self.other,
        )()

    def number(self):
        kind = self.choose(int, int, float, float, bool, decimal.Decimal)
        limits = {}
        if kind is not bool and self.maybe(0.4):
            limits[self.choose("ge", "gt")] = self.choose(0, 1, 2)
        if kind is not bool and self.maybe(0.3):
            limits[self.choose("le", "lt")] = self.choose(2, 3, 20)
        if kind is not bool and self.maybe(0.1):
            limits["multiple_of"] = 2
        if kind in (float, decimal.Decimal) and self.maybe(0.2):
            limits["allow_inf_nan"] = self.maybe()
        if self.maybe(0.25):
            limits["strict"] = True
        sampler = lambda r: r.choice([1, 2, 3, 2.0, 1.5, "2", " 1 ", True, 20])  # noqa: E731
        return (Annotated[kind, Field(**limits)] if limits else kind), sampler

    def text(self):
        limits = {}
        if self.maybe(0.4):
            limits["min_length"] = self.choose(1, 2, 3)
        if self.maybe(0.4):
            limits["max_length"] = self.choose(3, 4, 8)
        if self.maybe(0.4):
            limits["pattern"] = self.choose(
                r"^\w+$", r"^[a-z]+$", r"\d", r"^[A-Z]{1,3}$", r"^\S+$", "^a|b$", r"(?i)^abc$", r"^[^ ]*$", r"a.c", r"\bab", r"^[\w-]+$",
            )  # fmt: skip
        for option in ("strip_whitespace", "to_lower", "to_upper", "strict", "coerce_numbers_to_str"):
            if self.maybe(0.15):
                limits[option] = True
        sampler = lambda r: r.choice(["abc", "ABC", " ab ", "ä", "Größe", "a b", "12", "ß", 5])  # noqa: E731
        return (Annotated[str, pydantic.StringConstraints(**limits)] if limits else str), sampler

    def word(self):
        return self.choose(
            (bytes, lambda r: r.choice(["abc", "ä"])),
            (Annotated[bytes, Field(min_length=2, max_length=3)], lambda r: r.choice(["abc", "ä", "äöü"])),
            (Word, lambda r: "abc"),
            (uuid.UUID, lambda r: "123e4567-e89b-12d3-a456-426614174000"),
            (pathlib.Path, lambda r: "a/b"),
            (re.Pattern, lambda r: "a+"),
            (pydantic.SecretStr, lambda r: "abc"),
            (pydantic.AnyUrl, lambda r: "http://e.x/a"),
            (pydantic.HttpUrl, lambda r: "http://e.x/a"),
            (ipaddress.IPv4Address, lambda r: r.choice(["127.0.0.1", 5])),
            (pydantic.ByteSize, lambda r: r.choice(["1kb", 5])),
            (pydantic.Base64Str, lambda r: "YWJj"),
        )

    def when(self):
        limits = {"strict": True} if self.maybe(0.2) else {}
        kind, *texts = self.choose(
            (datetime.date, "2024-02-29", "1704067200", 86400, "2024-01-02T00:00:00"),
            (datetime.datetime, "2024-01-02T03:04:05Z", "2024-01-02 03:04", "2024-01-02", 1.5, "1704067200"),
            (datetime.time, "12:30", "12:30:10.5+01:00", 3600),
            (datetime.timedelta, "P1DT2H", "1 day, 00:00:10", 5, "00:10"),
            (pydantic.PastDate, "2020-01-01", 0),
            (pydantic.AwareDatetime, "2024-01-02T03:04:05Z", 1.5),
        )
        kind = Annotated[kind, Field(**limits)] if limits and kind.__module__ == "datetime" else kind
        return kind, lambda r: r.choice(texts)

    def enumeration(self, *kinds):
        kind = self.choose(*[kind for kind in kinds or self.enums if kind in self.enums])
        names = [member.name for member in kind]
        values = [member.value for member in kind]
        # The name and the value of one member are never two keys.
        return (by_name(kind) if self.names else kind), lambda r: r.choice(names if kinds else names + values)

    def literal(self):
        values = self.choose(("a", "abc"), (1, 2), ("a", 1, None), (True, "x"), (0,))
        if self.maybe(0.2):
            member = self.choose(Shape.ROUND, Level.LOW)
            kind = literal_by_name(type(member), member) if self.names else Literal[member]
            return kind, lambda r: r.choice([member.value, member.name])
        return Literal[values], lambda r: r.choice(values)

    def other(self):
        return self.choose(
            (Any, lambda r: r.choice(SCALARS)),
            (type(None), lambda r: None),
            (object, lambda r: 1),
            (Annotated[Array, BeforeValidator(lambda value: Array(value))], lambda r: [1, 2]),
            (Optional[Callable], lambda r: None),
            (Array, lambda r: None),
            (complex, lambda r: r.choice(["1+2j", 1])),
            (Iterable[int], lambda r: [1]),
            (fractions.Fraction, lambda r: r.choice(["1/3", 1, 1.5])),
        )

    # Containers.

    def sized(self, kind, chance=0.3):
        limits = {}
        if self.maybe(chance):
            limits["min_length"] = self.choose(1, 2)
        if self.maybe(chance):
            limits["max_length"] = self.choose(2, 3)
        return Annotated[kind, Field(**limits)] if limits else kind

    def list(self, depth):
        item, sample = self.type(depth)
        kind = self.choose(List, Sequence, collections.deque)[item]
        return self.sized(kind), lambda r: [sample(r) for _ in range(r.randrange(4))]

    def set(self, depth):
        item, sample = self.choose(
            (int, lambda r: r.choice([1, 2, "1", 1.0])), (str, lambda r: r.choice("abc")), self.enumeration()
        )
        return self.sized(self.choose(Set, FrozenSet)[item]), lambda r: [sample(r) for _ in range(r.randrange(5))]

    def tuple(self, depth):
        (one, a), (two, b) = self.type(depth), self.type(depth)
        if self.maybe(0.3):
            return Tuple[one, ...], lambda r: [a(r) for _ in range(r.randrange(3))]
        return Tuple[one, two], lambda r: [a(r), b(r)]

    def dict(self, depth):
        key, name = self.choose(
            (str, lambda r: r.choice("abc")),
            (int, lambda r: r.choice(["1", "01", " 2"])),
            (Annotated[str, Field(min_length=2)], lambda r: r.choice(["ab", "b"])),
            (Annotated[str, pydantic.StringConstraints(strip_whitespace=True)], lambda r: r.choice(["a", " a"])),
            (Literal["a", "b"], lambda r: r.choice("abc")),
            (bool, lambda r: r.choice(["true", "1"])),
            (datetime.date, lambda r: "2024-02-29"),
            (float, lambda r: r.choice(["1", "1.5"])),
            (Annotated[int, Field(strict=True)], lambda r: "1"),
            self.enumeration(Color, Shape, Level),
        )
        value, sample = self.type(depth)
        kind = self.sized(self.choose(Dict, Mapping)[key, value])
        return kind, lambda r: {str(name(r)): sample(r) for _ in range(r.randrange(3))}

    # Choices.

    def optional(self, depth):
        inner, sample = self.type(depth)
        return Optional[inner], lambda r: None if r.random() < 0.3 else sample(r)

    def union(self, depth):
        (one, a), (two, b) = self.type(depth), self.type(depth)
        mode = {"union_mode": "left_to_right"} if self.maybe(0.3) else {}
        kind = Annotated[Union[one, two], Field(**mode)] if mode and one != two else Union[one, two]
        return kind, lambda r: r.choice([a, b])(r)

    def tagged(self, depth):
        options, samples = [], []
        alias = self.maybe(0.2)
        for tag in ("cat", "dog"):
            value, sample = self.type(depth)
            key = Field(alias="Kind") if alias else ...
            options.append(self.create(kind=(Literal[tag], key), value=(value, ...)))
            samples.append(lambda r, s=sample, t=tag: {"Kind" if alias else "kind": t, "value": s(r)})
        return Annotated[Union[tuple(options)], Field(discriminator="kind")], lambda r: r.choice(samples)(r)

    # Objects.

    def config(self):
        options = {}
        for name, chance in {
            "populate_by_name": 0.3, "str_strip_whitespace": 0.15, "strict": 0.12, "str_to_lower": 0.1, "frozen": 0.1, "from_attributes": 0.1,
            "use_enum_values": 0.1, "coerce_numbers_to_str": 0.1, "validate_default": 0.1, "validate_assignment": 0.1,
        }.items():  # fmt: skip
            if self.maybe(chance):
                options[name] = True
        if self.maybe(0.15):
            options["str_max_length"] = 4
        if self.maybe(0.5):
            options["extra"] = self.choose("forbid", "allow", "ignore")
        if self.maybe(0.15):
            options["alias_generator"] = self.choose(str.upper, str.title)
        if self.maybe(0.1):
            options["regex_engine"] = "python-re"
        return ConfigDict(arbitrary_types_allowed=True, **options)

    def create(self, base=BaseModel, config=None, **fields):
        self.count += 1
        name = f"Model{self.count}"
        holder = types.new_class(f"Base{self.count}", (base,), {}, lambda ns: ns.update({"model_config": config or {}}))
        return create_model(name, __base__=holder, **fields)

    def fields(self, depth):
        fields, samples = {}, []
        for name in ["a", "b", "c", "d"][: self.random.randrange(1, 5)]:
            kind, sample = self.type(depth)
            options, keys = {}, [name]
            alias = self.random.random()
            if alias < 0.15:
                options["alias"], keys = name.upper() * 2, [name.upper() * 2, name]
            elif alias < 0.3:
                names = [f"{name}1", name, f"{name}2"]
                options["validation_alias"], keys = pydantic.AliasChoices(*names), names
            elif alias < 0.37:
                options["validation_alias"], keys = pydantic.AliasPath("nested", name), ["nested"]
                sample = lambda r, s=sample, n=name: {n: s(r)}  # noqa: E731
            elif alias < 0.42:
                options["validation_alias"] = pydantic.AliasChoices("shared", pydantic.AliasPath("list", 0))
                keys = ["shared"]
            if self.maybe(0.3):
                options["default"] = self.choose(None, 1, "a")
            elif self.maybe(0.1):
                options["default_factory"] = list
            if self.maybe(0.1):
                options["json_schema_extra"] = self.choose(
                    {"required": True}, {"type": "banana"}, {"items": 5, "minimum": "x"}
                )
            fields[name] = (kind, Field(**options))
            samples.append((keys, sample))

        def body(r):
            made = {}
            for keys, sample in samples:
                if r.random() < 0.85:
                    made[r.choice(keys)] = sample(r)
            return made

        return fields, body

    def model(self, depth):
        fields, body = self.fields(depth)
        base = BaseModel
        if self.maybe(0.12):

            class Before(BaseModel):
                @pydantic.model_validator(mode="before")
                @classmethod
                def check(cls, value):
                    return rename(value)

            base = Before
        elif self.maybe(0.1):

            class Wrapped(BaseModel):
                @pydantic.model_validator(mode="wrap")
                @classmethod
                def check(cls, value, handler):
                    return handler(rename(value))

            base = Wrapped
        elif self.maybe(0.1):

            class After(BaseModel):
                @pydantic.model_validator(mode="after")
                def check(self):
                    return self

                @pydantic.computed_field
                def computed(self) -> int:
                    return 1

            base = After
        elif self.maybe(0.06):

            class Own(BaseModel):
                def __init__(self, **data):
                    super().__init__(**{**data, "b": data.get("b", 1)})

            base = Own
        return self.create(base, self.config(), **fields), body

    def root(self, depth):
        inner, sample = self.type(depth)
        return self.create(pydantic.RootModel[inner], ConfigDict(arbitrary_types_allowed=True)), sample

    def dataclass(self, depth):
        fields, body = self.fields(depth)
        made = [(name, kind, field) for name, (kind, field) in fields.items()]
        made.sort(key=lambda item: not item[2].is_required())
        self.count += 1
        if self.maybe(0.4):
            plain = [(name, kind) for name, kind, _ in made]
            return dataclasses.make_dataclass(f"Data{self.count}", plain), lambda r: body(r)
        kind = dataclasses.make_dataclass(f"Data{self.count}", made)
        return pydantic.dataclasses.dataclass(kind, config=self.config()), body

    def typed_dict(self, depth):
        fields, body = self.fields(depth)
        self.count += 1
        kind = TypedDict(f"Typed{self.count}", {name: f[0] for name, f in fields.items()}, total=self.maybe(0.7))
        if self.maybe(0.5):
            kind.__pydantic_config__ = ConfigDict(extra=self.choose("forbid", "allow"))
        return kind, body

    def named_tuple(self, depth):
        (one, a), (two, b) = self.type(depth), self.type(depth)
        self.count += 1
        kind = NamedTuple(f"Named{self.count}", [("a", one), ("b", two)])
        return kind, lambda r: [a(r), b(r)] if r.random() < 0.6 else {"a": a(r), "b": b(r)}

    def box(self, depth):
        inner, sample = self.type(depth)
        return Box[inner], lambda r: {"item": sample(r)}

    def recursive(self, depth):
        inner, sample = self.type(depth)
        self.count += 1
        node = f"Node{self.count}"
        namespace = {"__annotations__": {"value": inner, "next": Optional[node], "all": List[node]}, "next": None, "all": [],
                     "model_config": self.config(), "__module__": __name__}  # fmt: skip
        made = type(BaseModel)(node, (BaseModel,), namespace)
        made.model_rebuild(_types_namespace={node: made})

        def body(r, left=3):
            made = {"value": sample(r)}
            if left and r.random() < 0.5:
                made["next"] = body(r, left - 1)
            if left and r.random() < 0.3:
                made["all"] = [body(r, left - 1)]
            return made

        return made, body

    # Types that wrap another one.

    def validated(self, depth):
        inner, sample = self.type(depth)
        return self.choose(
            (Annotated[List[str], BeforeValidator(split)], lambda r: r.choice(["a,b", ["a"]])),
            (Annotated[List[int], BeforeValidator(split), Field(min_length=2)], lambda r: r.choice(["1,2", [1, 2]])),
            (Annotated[inner, WrapValidator(swallow)], sample),
            (Annotated[inner, AfterValidator(lambda value: value)], sample),
            (Annotated[int, PlainValidator(lambda value: value)], lambda r: r.choice(SCALARS)),
            (Annotated[inner, BeforeValidator(lambda value: value)], sample),
            (Annotated[inner, Field(json_schema_extra={"type": "array", "required": True})], sample),
            (Annotated[inner, pydantic.WithJsonSchema({"type": "string"})], sample),
        )

    def alias(self, depth):
        inner, sample = self.type(depth)
        self.count += 1
        return TypeAliasType(f"Alias{self.count}", inner), sample

    def json(self, depth):
        inner, sample = self.type(depth)
        return pydantic.Json[inner], lambda r: json.dumps(sample(r)) if r.random() < 0.8 else sample(r)

    def custom(self, depth):
        return Point, lambda r: [1, "2"]


def mutate(value, r):
    """A body that is a little, or altogether, another one."""
    if r.random() < 0.15 or not value or not isinstance(value, (dict, list)):
        return r.choice(SCALARS) if r.random() < 0.8 else r.choice([[], {}, [1], {"a": 1}, ["a", 1], [[]]])
    value = value.copy()
    if isinstance(value, dict):
        key = r.choice(sorted(value))
        action = r.random()
        if action < 0.15:
            del value[key]
        elif action < 0.25:
            value["other"] = r.choice(SCALARS)
        else:
            value[key] = mutate(value[key], r)
    else:
        at = r.randrange(len(value))
        if r.random() < 0.15:
            del value[at]
        elif r.random() < 0.2:
            value.append(r.choice(SCALARS))
        else:
            value[at] = mutate(value[at], r)
    return value


def accepts(kind, text):
    """Whether pydantic takes a JSON text."""
    try:
        adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        adapter.validate_json(text)
    except (ValueError, NotImplementedError):
        return False
    except Exception:
        return None  # code of the type's own failed: that is no verdict
    return True


def adapter(kind):
    try:
        return TypeAdapter(kind)
    except pydantic.PydanticSchemaGenerationError:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))


def make(seed, bodies=24):
    """A random type, and (JSON text, whether pydantic accepts it) for it; None where pydantic refuses to build it."""
    try:
        (kind, sample), (named, _) = Maker(seed, False).type(3), Maker(seed, True).type(3)
        plain, with_names = adapter(kind), adapter(named)
        adapter(kind)  # of some types pydantic builds one only
    except Exception:
        return None
    r, cases = random.Random(-seed - 1), []
    for i in range(bodies):
        value = sample(r)
        for _ in range(r.randrange(3) if i % 3 else 0):
            value = mutate(value, r)
        text = json.dumps(value, ensure_ascii=False)
        if "Infinity" in text.replace('"-Infinity"', ""):
            text = text.replace("-Infinity", "-1e400").replace("Infinity", "1e400")
        try:
            json.loads(text, parse_constant=lambda name: 1 / 0)
        except ArithmeticError:
            continue
        verdicts = accepts(plain, text), accepts(with_names, text)
        if None not in verdicts:
            cases.append((text, any(verdicts)))
    return kind, cases


def main(seed, count):
    """Writes descriptions and verdicts."""
    import qhub.commons.describe as describing

    for number in range(seed, seed + count):
        made = make(number)
        if made is None:
            continue
        kind, cases = made

        def run(value): ...

        run.__annotations__ = {"value": kind}
        document = describing.describe_function(run, "service:run")
        print(
            json.dumps({"seed": number, "document": document, "cases": [[f'{{"value": {t}}}', ok] for t, ok in cases]})
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
