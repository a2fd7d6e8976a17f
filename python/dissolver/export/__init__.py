"""Images and root file systems on their way out: layouts, archives, tars, directories.

Everything that is written depends on the images and the chosen form alone, so the same
export gives the same bytes. Each module loads what it needs when it is used.
"""
