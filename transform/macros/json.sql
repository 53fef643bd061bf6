{# A lateral join that has a row for each object in a column, with the object's fields as texts. #}
{% macro each_object(column, name, fields) %}
  {{ return(adapter.dispatch('each_object', 'zoho_campaigns')(column, name, fields)) }}
{% endmacro %}

{# Loaders make jsonb of an array, or an array of jsonb: to_jsonb takes both. #}
{% macro default__each_object(column, name, fields) %}
  cross join lateral (
    select {% for field in fields %}item ->> '{{ field }}' as {{ field }}{{ ',' if not loop.last }} {% endfor %}
    from jsonb_array_elements(
      case when jsonb_typeof(to_jsonb({{ column }})) = 'array' then to_jsonb({{ column }}) else '[]'::jsonb end
    ) as item
  ) as {{ name }}
{% endmacro %}

{% macro duckdb__each_object(column, name, fields) %}
  cross join lateral (
    select {% for field in fields %}item ->> '{{ field }}' as {{ field }}{{ ',' if not loop.last }} {% endfor %}
    from (select unnest(from_json(coalesce(cast({{ column }} as varchar), '[]'), '["JSON"]')) as item) as unnested
  ) as {{ name }}
{% endmacro %}
