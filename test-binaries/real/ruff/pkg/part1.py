import os
import json
def part1(value):
    return { "part" : 1 , 'value':value, "name":os.sep }
