"""What a language model may write where a statement is asked for: one SELECT in one line, and nothing else.

GBNF, as llama.cpp reads it and vLLM's xgrammar. Quotes and brackets close, no comment begins, and after the
semicolon the text ends. Whether the statement is allowed and makes sense is the guard's question.
"""

STATEMENT_GRAMMAR = r"""root ::= start part+ ";"?
start ::= "SELECT " | "WITH " | "select " | "with "
part ::= [^'"();\\\n\r/-] | text | name | group | sign
group ::= "(" part* ")"
text ::= "'" ([^'\\\n\r] | "''")* "'"
name ::= "\"" [^"\\\n\r]+ "\""
sign ::= "/ " | "/" [0-9A-Za-z_] | "- " | "-" [0-9A-Za-z_] | "->" ">"?
"""

STATEMENT_SCHEMA = (
    '{"type": "object", "properties": {"sql": {"type": "string"}}, "required": ["sql"], '
    '"additionalProperties": false}'
)
"""For an engine that knows JSON schemas and no grammars."""
