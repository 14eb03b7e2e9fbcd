"""An hour of real requests against the real process: is its memory flat, is every answer right?"""
