{#
  Deletes the rows of contacts who asked to be forgotten from the loaded tables:

    dbt run-operation delete_forgotten_contacts                              # says how many rows would go
    dbt run-operation delete_forgotten_contacts --args '{dry_run: false}'    # deletes them
    dbt build                                                                # takes them out of the models

  It logs numbers of rows, never a value of them.
#}
{% macro delete_forgotten_contacts(dry_run=true) %}
  {% if not execute %}{{ return('') }}{% endif %}
  {% set forgotten = 'zoho_campaigns_forgotten' %}
  {% set ns = namespace(rows=0) %}
  {% do run_query('drop table if exists ' ~ forgotten) %}
  {# Kept before the first row goes: afterwards nothing would link an address to a forgotten contact. #}
  {% do run_query(
    'create temporary table ' ~ forgotten ~ ' as select stream, campaign_key, contact_email from '
    ~ ref('zoho_campaigns__forgotten_contacts')
  ) %}
  {% for stream in zoho_campaigns.loaded(zoho_campaigns.list_streams() + zoho_campaigns.event_streams()) %}
    {% set rows_to_go %}
      {{ source('zoho_campaigns', stream) }} where exists (
        select 1 from {{ forgotten }} as forgotten
        where forgotten.stream = '{{ stream }}'
          and forgotten.campaign_key = {{ source('zoho_campaigns', stream).identifier }}.campaign_key
          and forgotten.contact_email = {{ source('zoho_campaigns', stream).identifier }}.contact_email
      )
    {% endset %}
    {% set count = run_query('select count(*) from ' ~ rows_to_go).columns[0].values()[0] | int %}
    {% if count and not dry_run %}{% do run_query('delete from ' ~ rows_to_go) %}{% endif %}
    {% if count %}{% do log(stream ~ ': ' ~ count ~ ' rows' ~ (' would be deleted' if dry_run else ' deleted'), info=true) %}{% endif %}
    {% set ns.rows = ns.rows + count %}
  {% endfor %}
  {% do run_query('drop table ' ~ forgotten) %}
  {% do log(
    'No row of a forgotten contact was found.' if not ns.rows
    else ns.rows ~ ' rows would be deleted. To delete them: --args \'{dry_run: false}\'' if dry_run
    else ns.rows ~ ' rows deleted. dbt build takes them out of the models.',
    info=true
  ) %}
{% endmacro %}
