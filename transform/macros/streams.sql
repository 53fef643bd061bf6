{# The lists of recipients, and the events in their rows. #}
{% macro list_streams() %}
  {{ return([
    'sent_contacts', 'opened_contacts', 'clicked_contacts', 'unopened_contacts', 'optout_contacts',
    'spam_contacts', 'hard_bounce_contacts', 'soft_bounce_contacts', 'unsent_contacts',
  ]) }}
{% endmacro %}

{% macro event_streams() %}
  {{ return(['open_events', 'click_events']) }}
{% endmacro %}

{# Whether a stream is loaded, according to the variable zoho_campaigns_streams. #}
{% macro is_loaded(stream) %}
  {{ return(stream in var('zoho_campaigns_streams')) }}
{% endmacro %}

{# Those of some streams that are loaded, in their order. #}
{% macro loaded(streams) %}
  {% set found = [] %}
  {% for stream in streams if zoho_campaigns.is_loaded(stream) %}{% do found.append(stream) %}{% endfor %}
  {{ return(found) }}
{% endmacro %}

{# Whether any list of recipients is loaded, and whether any events are. #}
{% macro has_lists() %}
  {{ return(zoho_campaigns.loaded(zoho_campaigns.list_streams()) | length > 0) }}
{% endmacro %}

{% macro has_events() %}
  {{ return(zoho_campaigns.loaded(zoho_campaigns.event_streams()) | length > 0) }}
{% endmacro %}

{# A column of a stream that may not be loaded. #}
{% macro of_stream(stream, expression, type) %}
  {%- if zoho_campaigns.is_loaded(stream) -%}{{ expression }}{%- else -%}cast(null as {{ type }}){%- endif -%}
{% endmacro %}

{# Whether an address is the one that the tap gives to a contact without one. #}
{% macro is_placeholder(address) %}
  {{ address }} like '%@no-address.invalid'
{% endmacro %}

{# Whether any row of a group is of a stream; null where the stream is not loaded. #}
{% macro was_ever_in(stream) %}
  {{ zoho_campaigns.of_stream(stream, "bool_or(stream = '" ~ stream ~ "')", 'boolean') }}
{% endmacro %}

{# A part of a whole; null where the whole is 0. #}
{% macro rate(part, whole) %}
  cast({{ part }} as double precision) / nullif({{ whole }}, 0)
{% endmacro %}
