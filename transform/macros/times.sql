{# The first group of a pattern in a text; null where the pattern is not found. #}
{% macro first_group(text, pattern) %}
  {{ return(adapter.dispatch('first_group', 'zoho_campaigns')(text, pattern)) }}
{% endmacro %}

{% macro default__first_group(text, pattern) %}
  substring({{ text }} from '(?i){{ pattern }}')
{% endmacro %}

{% macro duckdb__first_group(text, pattern) %}
  nullif(regexp_extract({{ text }}, '(?i){{ pattern }}', 1), '')
{% endmacro %}

{# Zoho's wall-clock texts, `02 Aug 2013, 12:39 PM` and `Feb 12, 2026 12:08 PM`, as a timestamp without a zone; null for any other text. #}
{% macro wall_clock(text) %}
  {%- set clock = '[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: ?[ap]m)?' -%}
  {%- set date = '(?:[0-9]{1,2} [a-z]{3,9} [0-9]{4}|[a-z]{3,9} [0-9]{1,2}, [0-9]{4})' -%}
  {%- set whole = zoho_campaigns.first_group('trim(' ~ text ~ ')', '^(' ~ date ~ ',? ' ~ clock ~ ')$') -%}
  {%- set month = zoho_campaigns.first_group(whole, '([a-z]{3})[a-z]* ') -%}
  {%- set half = zoho_campaigns.first_group(whole, '([ap])m$') -%}
  {%- set hour = 'cast(' ~ zoho_campaigns.first_group(whole, '([0-9]{1,2}):') ~ ' as integer)' -%}
  make_date(
    cast({{ zoho_campaigns.first_group(whole, '([0-9]{4})') }} as integer),
    nullif((position(lower({{ month }}) in 'janfebmaraprmayjunjulaugsepoctnovdec') + 2) / 3, 0)::integer,
    1
  )
    + (cast({{ zoho_campaigns.first_group(whole, '([0-9]{1,2})[ ,]') }} as integer) - 1) * interval '1 day'
    + (
      case when {{ half }} is null then {{ hour }} else {{ hour }} % 12 end
      + case when lower({{ half }}) = 'p' then 12 else 0 end
    ) * interval '1 hour'
    + cast({{ zoho_campaigns.first_group(whole, '[0-9]:([0-9]{2})') }} as integer) * interval '1 minute'
{% endmacro %}

{# The seconds from one timestamp to another. #}
{% macro seconds_between(earlier, later) %}
  extract(epoch from ({{ later }} - {{ earlier }}))
{% endmacro %}
