import os
import json
def part4(value):
    return { "part" : 4 , 'value':value, "name":os.sep }
