"""A check by which a server may refuse bodies: made of pydantic's core schema, it accepts all that pydantic accepts.

A check is JSON Schema with two more keywords, `lax` and `requiredAny` (docs/signature.md). It is made of the core
schema, not of the JSON Schema that people see: that one says what a service declares, and may say anything. Where code
decides, and where this module does not know a kind of core schema, the check is empty, which leaves the decision to the
model. Every keyword here is a promise that pydantic refuses what the keyword refuses.
"""

import enum
import json
import math

# Beyond it, a whole number and its nearest float differ.
_EXACT = 2**53


class Checks:
    """Makes the checks of one document. `definitions` are those that others refer to as #/$checks/Name."""

    def __init__(self):
        self.definitions = {}
        self._schemas, self._names = {}, {}

    def make(self, schema, config=None):
        """The check of a core schema."""
        if not isinstance(schema, dict):
            return {}
        make = getattr(self, "_" + str(schema.get("type")).replace("-", "_"), None)
        return make(schema, config or {}) if make else {}

    # Scalars.

    def _none(self, _schema, _config):
        return {"type": "null"}

    def _bool(self, schema, config):
        return {"type": "boolean"} if _strict(schema, config) else {"lax": "boolean"}

    def _int(self, schema, config):
        kind = {"type": "integer"} if _strict(schema, config) else {"lax": "integer"}
        return {**kind, **_bounds(schema, math.inf)}

    def _float(self, schema, config):
        kind = {"type": "number"} if _strict(schema, config) else {"lax": "number"}
        return {**kind, **_bounds(schema, _EXACT)}

    def _decimal(self, _schema, _config):
        return {"lax": "decimal"}

    def _date(self, _schema, _config):
        return {"lax": "date"}

    def _datetime(self, _schema, _config):
        return {"lax": "date-time"}

    def _time(self, _schema, _config):
        return {"lax": "time"}

    def _timedelta(self, _schema, _config):
        return {"lax": "duration"}

    def _uuid(self, _schema, _config):
        return {"lax": "uuid"}

    def _str(self, schema, config):
        if schema.get("coerce_numbers_to_str", config.get("coerce_numbers_to_str")):
            return {"type": ["string", "number", "boolean"]}
        setting = lambda name: schema.get(name, config.get(f"str_{name}"))  # noqa: E731
        check = {"type": "string"}
        if setting("to_lower") or setting("to_upper"):
            return check  # both can change the length
        if _is_count(setting("min_length")):
            check["minLength"] = setting("min_length")
        if setting("strip_whitespace"):
            return check
        if _is_count(setting("max_length")):
            check["maxLength"] = setting("max_length")
        pattern = schema.get("pattern")
        if schema.get("regex_engine", config.get("regex_engine", "rust-regex")) == "rust-regex":
            check.update(_common_pattern(pattern))
        return check

    def _bytes(self, _schema, _config):
        return {"type": "string"}

    _url = _multi_host_url = _json = _bytes

    def _complex(self, _schema, _config):
        return {"type": ["string", "number"]}

    def _literal(self, schema, _config):
        values = []
        for value in schema["expected"]:
            if isinstance(value, enum.Enum):
                if not isinstance(value, (str, int)):
                    return {}
                values.append(value.name)
                value = value.value
            if value is not None and not isinstance(value, (str, int)):
                return {}
            values.append(value)
            if isinstance(value, int) and value in (0, 1):
                values += [int(value), bool(value)]  # which may stand for each other
        return {"enum": _unique(values)}

    def _enum(self, schema, _config):
        return {} if schema.get("missing") else _members(schema["cls"], schema["members"])

    # Containers.

    def _list(self, schema, config):
        return {**self._items(schema, config), **_counts(schema, "Items")}

    def _set(self, schema, config):
        counts = _counts(schema, "Items")
        counts.pop("maxItems", None)  # of elements that are equal one is left
        return {**self._items(schema, config), **counts}

    _frozenset = _set
    _deque = _tuple_variable = _list

    def _items(self, schema, config):
        return {"type": "array", **_unless_empty("items", self.make(schema.get("items_schema"), config))}

    def _tuple(self, schema, config):
        items, at = schema["items_schema"], schema.get("variadic_item_index")
        check = {"type": "array", **_counts(schema, "Items")}
        if at is None or at == len(items) - 1:
            fixed = items if at is None else items[:at]
            required = [i for i, item in enumerate(fixed, 1) if not self._has_default(item)]
            check["prefixItems"] = [self.make(item, config) for item in fixed]
            if not fixed:
                del check["prefixItems"]
            check["minItems"] = max(check.get("minItems", 0), max(required, default=0))
            check["items"] = False if at is None else self.make(items[at], config)
        return check

    def _tuple_positional(self, schema, config):
        extra = schema.get("extras_schema")
        items = schema["items_schema"] + ([extra] if extra else [])
        return self._tuple({"items_schema": items, "variadic_item_index": len(items) - 1 if extra else None}, config)

    def _dict(self, schema, config):
        check = {"type": "object", **_counts(schema, "Properties")}
        keys = self.make(schema.get("keys_schema"), config)
        if keys != {"type": "string"}:
            check.pop("maxProperties", None)  # keys that become equal count once
        if (keys.get("type") == "string" and len(keys) > 1) or "lax" in keys:
            check["propertyNames"] = keys
        return {**check, **_unless_empty("additionalProperties", self.make(schema.get("values_schema"), config))}

    # Choices.

    def _nullable(self, schema, config):
        return _any_of([self.make(schema["schema"], config), {"type": "null"}])

    def _union(self, schema, config):
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
        return _any_of([self.make(choice, config) for choice in choices])

    def _tagged_union(self, schema, config):
        choices = [choice for choice in schema["choices"].values() if isinstance(choice, dict)]
        check = _any_of([self.make(choice, config) for choice in choices])
        by_key = isinstance(schema["discriminator"], str)
        return {**check, "type": "object"} if by_key and "type" not in check else check

    # Schemas that wrap another one.

    def _inner(self, schema, config):
        return self.make(schema["schema"], config)

    _function_after = _custom_error = _inner

    def _default(self, schema, config):
        return {} if schema.get("on_error", "raise") != "raise" else self._inner(schema, config)

    def _chain(self, schema, config):
        return self.make(schema["steps"][0], config)

    def _json_or_python(self, schema, config):
        return self.make(schema["json_schema"], config)

    def _lax_or_strict(self, schema, config):
        kind = _enum_class(schema["strict_schema"])
        if kind is not None:  # how enums were described before pydantic 2.7
            return _members(kind, list(kind))
        return self.make(schema["strict_schema" if _strict(schema, config) else "lax_schema"], config)

    def _definitions(self, schema, config):
        for definition in schema["definitions"]:
            self._schemas[definition["ref"]] = (definition, config)
        return self.make(schema["schema"], config)

    def _definition_ref(self, schema, _config):
        ref = schema["schema_ref"]
        if ref not in self._schemas:
            return {}
        if ref not in self._names:
            name = f"c{len(self.definitions)}"
            self._names[ref], self.definitions[name] = name, {}
            self.definitions[name] = self.make(*self._schemas[ref])
        return {"$ref": f"#/$checks/{self._names[ref]}"}

    # Objects.

    def _model(self, schema, _config):
        return {} if schema.get("custom_init") else self.make(schema["schema"], schema.get("config"))

    def _dataclass(self, schema, _config):
        return self.make(schema["schema"], schema.get("config"))

    def _model_fields(self, schema, config):
        return self._object(schema, config, schema["fields"].items(), True)

    def _typed_dict(self, schema, config):
        config = schema.get("config") or config
        total = schema.get("total", config.get("typed_dict_total", True))
        return self._object(schema, config, schema["fields"].items(), total)

    def _dataclass_args(self, schema, config):
        return self._object(schema, config, [(field["name"], field) for field in schema["fields"]], True)

    def _call(self, schema, config):
        return self.make(schema["arguments_schema"], config)

    def _arguments(self, _schema, _config):
        return {"type": ["array", "object"]}

    def _object(self, schema, config, fields, total):
        flags = {**config, **schema}
        by_name = flags.get("validate_by_name") or flags.get("populate_by_name")
        by_alias = flags.get("validate_by_alias") is not False
        properties, required, choices = {}, [], []
        for name, field in fields:
            names = _names(name, field, by_name, by_alias)
            check = {} if field.get("init") is False else self.make(field["schema"], config)
            for position, (key, whole) in enumerate(names):
                # Another name is looked at only where the first is missing, and a key may be of several fields.
                certain = whole and position == 0 and key not in properties
                properties[key] = check if certain else {}
            keys = _unique([key for key, _ in names])
            if not field.get("required", total) or self._has_default(field["schema"]) or field.get("init") is False:
                continue
            (required if len(keys) == 1 else choices).append(keys[0] if len(keys) == 1 else keys)
        check = {"type": "object"}
        extra = flags.get("extra_behavior") or config.get("extra_fields_behavior")
        if extra == "forbid":
            check["additionalProperties"] = False
        else:
            properties = {key: value for key, value in properties.items() if value or extra}
            if extra == "allow":
                check.update(_unless_empty("additionalProperties", self.make(schema.get("extras_schema"), config)))
        check.update(_unless_empty("properties", properties))
        check.update(_unless_empty("required", _unique(required)))
        check.update(_unless_empty("requiredAny", choices))
        return check

    def _has_default(self, schema):
        """Whether a field may be missing; also where that is not known."""
        for _ in range(100):
            if schema["type"] == "default":
                return True
            if schema["type"] == "definition-ref" and schema["schema_ref"] in self._schemas:
                schema = self._schemas[schema["schema_ref"]][0]
            elif isinstance(schema.get("schema"), dict) and schema["type"] not in ("model", "dataclass", "json"):
                schema = schema["schema"]
            else:
                return False
        return True


def _strict(schema, config):
    return schema.get("strict", config.get("strict", False))


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _counts(schema, what):
    """The bounds of how many elements there are, by their names in JSON Schema."""
    found = {f"min{what}": schema.get("min_length"), f"max{what}": schema.get("max_length")}
    return {name: value for name, value in found.items() if _is_count(value)}


def _bounds(schema, exact):
    names = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    bounds = {names[name]: schema[name] for name in names if schema.get(name) is not None}
    return {name: value for name, value in bounds.items() if type(value) in (int, float) and abs(value) < exact}


def _common_pattern(pattern):
    """A pattern that Rust and Go read alike; nothing of another."""
    if not isinstance(pattern, str):
        return {}
    text, inside, at = "", False, 0
    while at < len(pattern):
        pair = pattern[at : at + 2]
        if pair == "\\d":
            pair, step = "\\p{Nd}", 2
        elif pair[0] == "\\" and (len(pair) < 2 or pair[1].isalnum() or not pair[1].isascii()):
            return {}
        elif pair[0] == "\\":
            step = 2
        elif (
            pair in ("&&", "--", "~~", "{,", "**", "++", "]]")
            or (pair == "(?" and pattern[at : at + 3] != "(?:")
            or (pair[0] == "[" and inside)
        ):
            return {}
        else:
            inside = pair[0] == "[" or (inside and pair[0] != "]")
            pair, step = pair[0], 1
        text, at = text + pair, at + step
    return {"pattern": text}


def _members(kind, members):
    """The check of an enum. One that finds members by its own code has none."""
    if getattr(kind._missing_, "__func__", None) is not enum.Enum._missing_.__func__:
        return {}
    values = [member.value for member in members]
    if all(isinstance(value, str) for value in values):
        names = [name for name, member in kind.__members__.items() if member in members]
        return {"enum": _unique([str(value) for value in values] + names)}
    if all(value is None or isinstance(value, (str, int, float)) for value in values):
        return {"type": ["string", "number", "boolean", "null"]}
    return {}


def _enum_class(schema):
    """The enum whose members a core schema takes, if it is one."""
    while isinstance(schema, dict):
        kind = schema.get("cls")
        if schema.get("type") == "is-instance":
            return kind if isinstance(kind, type) and issubclass(kind, enum.Enum) else None
        schema = schema.get("python_schema")
    return None


def enum_classes(schema):
    """The enums that a core schema holds anywhere."""
    found, left, seen = [], [schema], set()
    while left:
        value = left.pop()
        if id(value) in seen or not isinstance(value, (dict, list, tuple)):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            kinds = [value.get("cls"), *map(type, value.get("expected", []) if value.get("type") == "literal" else [])]
            found += [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, enum.Enum)]
        left += [item for key, item in value.items() if key != "metadata"] if isinstance(value, dict) else value
    return _unique(found)


def _names(name, field, by_name, by_alias):
    """The keys under which a field is looked for, in order, and whether the key holds all of it."""
    alias, names = field.get("validation_alias"), []
    if alias is not None and by_alias:
        paths = [[alias]] if isinstance(alias, str) else alias if isinstance(alias[0], (list, tuple)) else [alias]
        names = [(path[0], len(path) == 1) for path in paths]
    if not names or by_name:
        names.append((name, True))
    return names


def _any_of(checks):
    if {} in checks:
        return {}
    whole = {"anyOf", "enum", "$ref"}  # keywords about values of each type, null too
    for keyword in ("type", "lax"):  # the common optional, which needs no choice
        simple = isinstance(checks[0].get(keyword), str) and not whole.intersection(checks[0])
        if len(checks) == 2 and simple and checks[1] == {"type": "null"}:
            return {**checks[0], keyword: [checks[0][keyword], "null"]}
    if len(checks) == 2 and list(checks[0]) == ["enum"] and checks[1] == {"type": "null"}:
        return {"enum": _unique([*checks[0]["enum"], None])}
    return checks[0] if len(checks) == 1 else {"anyOf": checks}


def _unless_empty(name, value):
    return {name: value} if value else {}


def _unique(values):
    """Each value once, in order; True is not 1 here."""
    found = {}
    for value in values:
        found.setdefault(value if isinstance(value, type) else json.dumps(value), value)
    return list(found.values())
