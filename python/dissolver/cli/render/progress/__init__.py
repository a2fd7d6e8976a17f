"""What a build shows while it runs.

``trace`` collects the events, ``terminal`` draws them over and over in one
place, ``plain`` appends lines, ``rawjson`` hands them on to programs, and
``display`` chooses between these and redraws while time passes.
"""
