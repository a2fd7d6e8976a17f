"""The command line: words into calls, errors into exit codes, results into text.

``app`` finds the command and ends the process, ``catalog`` lists the commands,
one module holds each group of them, and ``render`` turns values into text. This
package imports nothing by itself, so that a command pays only for what it uses.
"""
