"""The model of every configuration: a misspelt field is an error, not ignored."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import model_validator

from proxystore._nearest import did_you_mean


class StrictModel(BaseModel):
    """A model that refuses unknown fields and names the nearest known one."""

    model_config = ConfigDict(extra='forbid')

    @model_validator(mode='before')
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        unknown = [
            str(name)
            for name in (data if isinstance(data, dict) else ())
            if name not in cls.model_fields
        ]
        if unknown:
            known = list(cls.model_fields)
            hints = ''.join(did_you_mean(name, known) for name in unknown)
            listed = ', '.join(map(repr, unknown))
            raise ValueError(
                f'{cls.__name__} has no field {listed}.{hints} '
                f'Fields: {", ".join(known)}'
            )
        return data

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Takes what an older version pickled: fields that came later have their defaults."""
        defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in type(self).model_fields.items()
            if not field.is_required()
        }
        fields = {**defaults, **state.get('__dict__', {})}
        super().__setstate__({**state, '__dict__': fields})
