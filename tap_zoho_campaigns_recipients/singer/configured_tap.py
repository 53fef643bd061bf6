"""The settings of the tap: what the Singer SDK does otherwise with them, and why.

The overrides were written for singer-sdk 0.54 and are checked against the installed version by
`tests/documents/test_sdk_hooks.py`.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError, MappingError
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput

from tap_zoho_campaigns_recipients.singer.config import (
    environment_values,
    is_quoted,
    misspelled,
    schema_problem,
    value_from_text,
    without_blanks,
)
from tap_zoho_campaigns_recipients.singer.exit_codes import FileProblem
from tap_zoho_campaigns_recipients.singer.files import FileRefused, config_object, dot_env
from tap_zoho_campaigns_recipients.singer.sdk_settings import sdk_setting_problems
from tap_zoho_campaigns_recipients.sync.skipped_campaigns import first_of
from tap_zoho_campaigns_recipients.zoho.errors import quoted

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click


class ConfiguredTap(Tap):
    """A tap that says in words what is wrong with its settings, maps and configuration files."""

    stream_names: t.ClassVar[Sequence[str]]
    """The names of all streams."""

    @classmethod
    def setting_problems(cls, config: Mapping[str, t.Any]) -> list[str]:
        """Describe what is wrong with settings that fit the schema, in one line each."""
        raise NotImplementedError

    def __init__(self, **options: t.Any) -> None:  # noqa: ANN401 - the SDK's own
        """Check the settings.

        Args:
            **options: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: With one line for each setting that is wrong.
        """
        if isinstance(options.get("config"), dict):
            options["config"] = self._cleaned(options["config"])
        super().__init__(**options)
        known = self.config_jsonschema["properties"]
        unknown = [name for name in self._config if name not in known and not name.startswith("_")]
        if unknown:
            self.logger.warning(
                "Settings that the tap does not have are ignored: %s", first_of(sorted(unknown))
            )

    @classmethod
    def _cleaned(cls, config: Mapping[str, t.Any]) -> dict[str, t.Any]:
        return without_blanks(config, cls.config_jsonschema["properties"])

    @classproperty
    def _env_var_config(cls) -> dict[str, t.Any]:  # noqa: N805 - as in the SDK
        """The settings in the environment, or else in `.env` in the working folder.

        Replaces (private hook) reading numbers with `int`, which ends in a traceback for anything
        else, and looking for a `.env` file in all folders above.
        """
        schema = cls.config_jsonschema
        cls.append_builtin_config(schema)
        variables = {**dot_env(Path.cwd() / ".env"), **os.environ}
        properties = schema["properties"]
        texts = environment_values(list(properties), cls._env_var_prefix, variables)
        return cls._cleaned(
            {
                name: value_from_text(text, properties.get(name, {}).get("type", []))
                for name, text in texts.items()
            }
        )

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings.

        Replaces (private hook) errors that quote the value, which may be a secret.
        """
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        self._config = self._cleaned(self._config)
        errors = sdk_setting_problems(self._config, self.stream_names)
        for name, meant in misspelled(self._config, schema["properties"]).items():
            errors.append(f"{name} is not the name of a setting: {meant} is meant, or take it out")
        in_quotes = [
            name
            for name, value in self._config.items()
            if any(map(is_quoted, value if isinstance(value, list) else [value]))
        ]
        errors += [f"{name} is in quotation marks: give it without them" for name in in_quotes]
        # Checking fills in the defaults. Of stream maps, the SDK's schema breaks where it says what
        # __else__ may be.
        checked = self._config
        if errors:
            left_out = {*in_quotes, "stream_maps"}
            checked = {name: value for name, value in checked.items() if name not in left_out}
        violations = JSONSchemaValidator(schema).iter_errors(checked)
        errors += sorted(set(map(schema_problem, violations)))
        if not errors:
            errors = self.setting_problems(self._config)
        if errors and raise_errors:
            raise self._refused(errors)
        return errors

    def setup_mapper(self) -> None:
        """Prepare stream maps and flattening.

        Replaces the traceback if they do not fit the streams, which shows only here; and the
        failure if a map is for a stream that is not selected, of which the SDK leaves no key.

        Raises:
            ConfigValidationError: They do not fit.
        """
        super(Tap, self).setup_mapper()
        for entry in self.catalog.streams:
            selection, schema = entry.metadata.resolve_selection(), entry.schema.to_dict()
            is_selected = selection.get((), True)
            if is_selected:
                schema = get_selected_schema(entry.tap_stream_id, schema, selection)
            try:
                self.mapper.register_raw_stream_schema(
                    entry.tap_stream_id, schema, entry.key_properties
                )
            except (MappingError, ValueError) as error:
                if not is_selected:
                    continue
                # Flattening has no errors of its own: names that become the same are a
                # `ValueError`.
                what = "flattening" if isinstance(error, ValueError) else "stream_maps"
                raise self._refused([f"{what} cannot be used: {quoted(str(error))}"]) from None

    def _refused(self, errors: list[str]) -> ConfigValidationError:
        msg = "Config validation failed"
        return ConfigValidationError(msg, errors=errors, schema=self.config_jsonschema)

    @classmethod
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the configuration files.

        Replaces the traceback if one cannot be read, and reading a pipe as if it were a file.
        """
        del ctx, param
        config: dict[str, t.Any] = {}
        try:
            for path in value:
                if path != "ENV":
                    config |= config_object(Path(path))
        except FileRefused as error:
            raise FileProblem(str(error)) from None
        return _ConfigInput(config=config, parse_env="ENV" in value)
