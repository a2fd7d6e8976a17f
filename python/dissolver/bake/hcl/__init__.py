"""HCL as an expression language: text to syntax tree, and syntax tree to values.

The grammar comes from tree-sitter (docs/decisions/bake-files.md); what an expression
means follows https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md.
"""
